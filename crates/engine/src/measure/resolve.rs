//! Resolves a name as a user's machine does: asks one server, believes the answer for its time to live.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A query that was not answered is sent again after this, as stub resolvers do, only sooner: the server is near.
const QUERY_TIMEOUT: Duration = Duration::from_millis(300);

/// Queries per lookup.
const ATTEMPTS: usize = 2;

/// A resolver with one server and a cache on our own clock.
pub struct NameResolver {
    resolver: TokioResolver,
    clock: Arc<dyn Clock>,
    known: Mutex<BTreeMap<String, Known>>,
}

/// An answer that still counts.
#[derive(Debug, Clone)]
struct Known {
    addresses: Vec<IpAddr>,
    until: Mono,
}

/// A name has no address now.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The resolver cannot be set up.
    #[error("cannot set up a resolver for {server}: {why}")]
    Setup { server: SocketAddr, why: String },
    /// The server answers, and not for this name.
    #[error("{name} is refused: it is in no zone of the DNS server")]
    Refused { name: String },
    /// The server says that there is nothing.
    #[error("{name} has no address: {why}")]
    NoAddress { name: String, why: String },
    /// Nothing was heard of the server in time.
    #[error("{name} is not answered for: {why}")]
    NoAnswer { name: String, why: String },
}

impl NameResolver {
    /// Asks `server` and nobody else; neither the hosts file nor search domains play a part.
    pub fn new(server: SocketAddr, clock: Arc<dyn Clock>) -> Result<Arc<Self>, ResolveError> {
        let on_port = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
        let servers = vec![NameServerConfig::new(server.ip(), true, connections)];
        let config = ResolverConfig::from_parts(None, vec![], servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        set(builder.options_mut());
        let resolver = builder.build().map_err(|e| ResolveError::Setup { server, why: e.to_string() })?;
        Ok(Arc::new(Self { resolver, clock, known: Mutex::default() }))
    }

    /// The addresses of the name: known ones within their time to live, else fresh ones.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let none = |why: String| ResolveError::NoAddress { name: name.to_owned(), why };
        let lookup = self.resolver.lookup_ip(absolute).await.map_err(|e| match e {
            NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => {
                ResolveError::Refused { name: name.to_owned() }
            }
            NetError::Dns(_) => none(e.to_string()),
            e => ResolveError::NoAnswer { name: name.to_owned(), why: e.to_string() },
        })?;
        let addresses: Vec<IpAddr> = lookup.iter().collect();
        if addresses.is_empty() {
            return Err(none("the answer is empty".to_owned()));
        }
        let ttl_s = lookup.as_lookup().answers().iter().map(|r| r.ttl).min().unwrap_or(0);
        let until = self.clock.mono() + Duration::from_secs(ttl_s.into());
        let fresh = Known { addresses: addresses.clone(), until };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), fresh);
        Ok(addresses)
    }

    /// The addresses that still count, without asking.
    pub fn known(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()?;
        (self.clock.mono() < known.until).then_some(known.addresses)
    }
}

fn set(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    options.timeout = QUERY_TIMEOUT;
    options.attempts = ATTEMPTS;
    options.num_concurrent_reqs = 1;
    options.edns0 = true;
}

/// What reqwest is given: the same resolver behind its own trait.
pub(crate) struct ForHttp(pub(crate) Arc<NameResolver>);

impl Resolve for ForHttp {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            // Port 0 stands for the port of the URL.
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;

//! Where names are asked. Probes must see a name as it is published now, not as some cache remembers it.

use async_trait::async_trait;
use pilotlight_core::outcome::Failure;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Turns a name into addresses.
#[async_trait]
pub trait Names: Send + Sync {
    /// Every address of the name, best first; never empty.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Failure>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let found = tokio::net::lookup_host((name, 0)).await;
        let found: Vec<IpAddr> = found
            .map_err(|e| Failure::unreachable(format!("cannot resolve {name}: {e}")))?
            .map(|address| address.ip())
            .collect();
        if found.is_empty() {
            return Err(Failure::unreachable(format!("{name} has no address")));
        }
        Ok(found)
    }
}

/// A client that asks these names and takes a new connection each time, so that no probe is answered by the region it
/// spoke to before.
pub fn for_probes(builder: reqwest::ClientBuilder, names: Arc<dyn Names>) -> reqwest::ClientBuilder {
    builder.dns_resolver(ForClient(names)).pool_max_idle_per_host(0).no_proxy()
}

struct ForClient(Arc<dyn Names>);

impl reqwest::dns::Resolve for ForClient {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let names = Arc::clone(&self.0);
        Box::pin(async move {
            let found = names.resolve(name.as_str()).await?;
            let found: reqwest::dns::Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(found)
        })
    }
}

/// The addresses of `host:port`.
pub(super) async fn addresses(names: &dyn Names, address: &str) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .ok_or_else(|| Failure::rejected(format!("{address:?} is not of the form host:port")))?;
    Ok(names.resolve(host).await?.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

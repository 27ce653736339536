//! Starts the authority: binds everything first, then answers; stops when told or when a part of it ends.

use crate::answer::Answerer;
use crate::shelf::{OpenError, Shelf};
use crate::{control, tcp};
use axum::Router;
use hickory_proto::rr::Name;
use hickory_server::Server;
use pilotlight_door::{Bounds, Handle, RustlsConfig};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Requests on the control interface may take so long to end at a stop.
const GRACE: Duration = Duration::from_secs(2);

/// Tries to find a port that is free for both UDP and TCP, when any port will do.
const PORT_TRIES: u32 = 16;

/// The built-in authority.
pub struct Authority;

/// What it is started with.
#[derive(Clone)]
pub struct AuthorityParts {
    /// Where queries are answered, UDP and TCP; port 0 finds one.
    pub listen: SocketAddr,
    /// Where the control interface is; port 0 finds one. Without `tls` it must be loopback.
    pub control: SocketAddr,
    /// Folder of what is published.
    pub state_dir: PathBuf,
    /// The zones it is the authority of, for example `example.test`.
    pub zones: Vec<String>,
    /// Secret of those who may tell it something.
    pub token: String,
    /// Certificate and key of the control interface.
    pub tls: Option<TlsFiles>,
}

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// It could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The published names cannot be loaded.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Without zones everything would be refused.
    #[error("no zone was given")]
    NoZone,
    /// A zone's name cannot be one.
    #[error("{zone} is not the name of a zone: {why}")]
    Zone { zone: String, why: String },
    /// Anybody could guess it.
    #[error("the token is empty")]
    NoToken,
    /// The token would travel in the open.
    #[error("the control interface at {0} needs tls: only a loopback address may do without")]
    InTheOpen(SocketAddr),
    /// A port is in use or not ours to use.
    #[error("cannot listen on {address} for {purpose}")]
    Listen { address: SocketAddr, purpose: &'static str, source: io::Error },
    /// The certificate or the key cannot be used.
    #[error("cannot use the certificate {certificate} with its key")]
    Tls { certificate: PathBuf, source: io::Error },
}

/// Part of it ended without being told.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Queries are no longer answered.
    #[error("the DNS server ended: {0}")]
    Dns(String),
    /// The control interface is gone.
    #[error("the control interface ended")]
    Control(#[source] io::Error),
    /// A bug.
    #[error("a task of the authority panicked: {0}")]
    Panicked(String),
}

/// It answers.
pub struct RunningAuthority {
    /// Where queries are answered.
    pub dns_addr: SocketAddr,
    /// Where the control interface is.
    pub control_addr: SocketAddr,
    /// Ends it.
    pub shutdown: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
}

impl Authority {
    /// Starts it. What was published before is answered as soon as this returns.
    pub async fn start(parts: AuthorityParts) -> Result<RunningAuthority, StartError> {
        let zones = zones(&parts.zones)?;
        if parts.token.is_empty() {
            return Err(StartError::NoToken);
        }
        if parts.tls.is_none() && !parts.control.ip().is_loopback() {
            return Err(StartError::InTheOpen(parts.control));
        }
        let tls = load_tls(parts.tls.as_ref()).await?;
        // Bound first: where it cannot listen it leaves no folder behind.
        let (udp, resolvers) = bind_both(parts.listen).await?;
        let bound = |purpose| move |source| StartError::Listen { address: parts.control, purpose, source };
        let control = TcpListener::bind(parts.control).map_err(bound("control"))?;
        control.set_nonblocking(true).map_err(bound("control"))?;
        let control_addr = control.local_addr().map_err(bound("control"))?;
        let dns_addr = udp.local_addr().map_err(bound("queries"))?;
        let shelf = Arc::new(Shelf::open(&parts.state_dir)?);

        let shutdown = CancellationToken::new();
        let answerer = || Answerer::new(shelf.clone(), &zones, dns_addr.ip());
        let mut dns = Server::new(answerer());
        dns.register_socket(udp);
        let answering = tcp::serve(resolvers, answerer(), shutdown.clone());
        let routes = control::routes(shelf.clone(), &zones, parts.token);
        let running = tokio::spawn(run(dns, answering, (control, tls, routes), shutdown.clone()));
        Ok(RunningAuthority { dns_addr, control_addr, shutdown, running })
    }
}

impl RunningAuthority {
    /// Returns when it has ended: without an error after `shutdown`, else with what went wrong.
    pub async fn wait(self) -> Result<(), RunError> {
        self.running.await.unwrap_or_else(|e| Err(RunError::Panicked(e.to_string())))
    }

    /// Ends it and waits for that.
    pub async fn stop(self) -> Result<(), RunError> {
        self.shutdown.cancel();
        self.wait().await
    }
}

/// All parts run until one ends or `shutdown`; then the others are ended too.
async fn run(
    mut dns: Server<Answerer>,
    over_tcp: impl Future<Output = ()>,
    (control, tls, routes): (TcpListener, Option<RustlsConfig>, Router),
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let handle = Handle::new();
    let dns_stop = dns.shutdown_token().clone();
    let serve_control = pilotlight_door::serve(control, tls, routes, handle.clone(), Bounds::default());
    let answers = async { dns.block_until_done().await.map_err(|e| RunError::Dns(e.to_string())) };
    tokio::pin!(serve_control, answers);
    let first = tokio::select! {
        () = shutdown.cancelled() => None,
        // It ends with `shutdown` only.
        () = over_tcp => None,
        end = &mut answers => Some(end.and(Err(RunError::Dns("no socket is left".into())))),
        end = &mut serve_control => Some(end.map_err(RunError::Control)),
    };
    if let Some(end) = first {
        return end;
    }
    dns_stop.cancel();
    handle.graceful_shutdown(Some(GRACE));
    let (answers, control) = tokio::join!(answers, serve_control);
    answers.and(control.map_err(RunError::Control))
}

fn zones(names: &[String]) -> Result<Vec<Name>, StartError> {
    if names.is_empty() {
        return Err(StartError::NoZone);
    }
    let read = |zone: &String| {
        let wrong = |why: String| StartError::Zone { zone: zone.clone(), why };
        let mut name = Name::from_ascii(zone).map_err(|e| wrong(e.to_string()))?;
        name.set_fqdn(true);
        // Longer names would leave no room for the names in the zone.
        if name.is_root() || name.len() > 200 {
            return Err(wrong("it must be below the root and at most 200 characters".into()));
        }
        Ok(name.to_lowercase())
    };
    names.iter().map(read).collect()
}

async fn load_tls(files: Option<&TlsFiles>) -> Result<Option<RustlsConfig>, StartError> {
    let Some(files) = files else { return Ok(None) };
    let config = pilotlight_door::load(&files.certificate, &files.key).await;
    let wrong = |source| StartError::Tls { certificate: files.certificate.clone(), source };
    Ok(Some(config.map_err(wrong)?))
}

/// Binds UDP and TCP on the same port. With port 0 the first port that TCP gets may be taken for UDP, so it tries again.
async fn bind_both(address: SocketAddr) -> Result<(UdpSocket, tokio::net::TcpListener), StartError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let bound = async {
            let tcp = tokio::net::TcpListener::bind(address).await?;
            let udp = UdpSocket::bind(tcp.local_addr()?).await?;
            Ok((udp, tcp))
        };
        match bound.await {
            Ok(both) => return Ok(both),
            Err(_) if address.port() == 0 && tries < PORT_TRIES => {}
            Err(source) => return Err(StartError::Listen { address, purpose: "queries", source }),
        }
    }
}

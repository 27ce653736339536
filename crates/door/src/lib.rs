//! HTTP over TCP, TLS or not, with a bound on connections that say nothing: what a controller and the DNS authority listen by.
//!
//! Whoever reaches the port could else open connections until the process has no file left, and agents could not renew. So
//! a connection is a stranger's until a request on it has shown a good token ([`Visitor::vouch`]). A stranger has a short
//! time in all, however much it says meanwhile. There is room for so many connections, from one address and in all; where there is
//! none, a stranger has to go, the oldest of the address that has the most of them. Who has shown a token is
//! never sent away, and closed only when it asks nothing for long, or takes no answer.
//!
//! A request that is under way has no bound of its own here: agents and people wait for answers, some for minutes.
//!
//! Border: sockets; knows no token and no route.

mod guests;
mod stream;

pub use axum_server::Handle;
pub use axum_server::tls_rustls::RustlsConfig;
pub use guests::Visitor;
pub use stream::Watched;

use axum::Extension;
use axum::Router;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use guests::Guests;
use hyper_util::rt::TokioTimer;
use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tower::Layer;

/// How long, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// A stranger is gone after so long, its TLS handshake included.
    pub stranger: Duration,
    /// The body of a request has arrived after so long; whoever reads it looks at that ([`Visitor::body_within`]).
    pub body: Duration,
    /// Whoever is known is closed when the next request has not arrived after so long.
    pub idle: Duration,
    /// Whoever takes nothing of its answer for so long is closed.
    pub stall: Duration,
    /// Connections from one address.
    pub from_one: usize,
    /// Connections in all.
    pub in_all: usize,
}

impl Default for Bounds {
    /// Ten seconds are a handshake and a request over the worst line, thirty the largest body over one of two megabits. Clients drop idle connections after ninety, so they
    /// never send into one that is being closed. A region needs a handful of connections, and a process may usually have
    /// 1,024 files open.
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { stranger: secs(10), body: secs(30), idle: secs(120), stall: secs(30), from_one: 128, in_all: 512 }
    }
}

/// A certificate with its key, in PEM.
pub async fn load(certificate: &Path, key: &Path) -> io::Result<RustlsConfig> {
    let config = RustlsConfig::from_pem_file(certificate, key).await?;
    // What is served here is HTTP/1: the time for a request's head is counted there.
    let mut server = (*config.get_inner()).clone();
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(server)))
}

/// Serves until the handle says that it is over.
pub async fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    routes: Router,
    handle: Handle<SocketAddr>,
    bounds: Bounds,
) -> io::Result<()> {
    let door = Door::new(bounds);
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum_server::from_tcp(listener)?.handle(handle);
    match tls {
        Some(tls) => {
            let mut server = server.acceptor(RustlsAcceptor::new(tls).acceptor(door)).http1_only();
            server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(bounds.idle);
            server.serve(service).await
        }
        None => {
            let mut server = server.acceptor(door).http1_only();
            server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(bounds.idle);
            server.serve(service).await
        }
    }
}

/// Lets connections in. Clones count together.
#[derive(Clone)]
pub struct Door {
    guests: Arc<Guests>,
    bounds: Bounds,
}

impl Door {
    /// Nobody is in yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { guests: Arc::new(Guests::new(bounds)), bounds }
    }

    /// A connection that was accepted, as a stranger's; an error where there is no room for it.
    pub fn let_in(&self, stream: TcpStream) -> io::Result<(Watched, Visitor)> {
        // An answer is written in more than one piece, and the second would wait for the acknowledgement of the first,
        // which kernels hold back for 40 ms.
        stream.set_nodelay(true)?;
        let guest = self.guests.admit(stream.peer_addr()?.ip())?;
        let visitor = guest.visitor();
        Ok((Watched::new(stream, guest, self.bounds), visitor))
    }
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Watched;
    type Service = AddExtension<S, Visitor>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.let_in(stream).map(|(stream, visitor)| (stream, Extension(visitor).layer(service))))
    }
}

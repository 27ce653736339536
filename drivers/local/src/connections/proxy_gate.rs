//! The proxy as a gate of the agent: starts its process, tells it until when, and starts it again when it is gone.
//!
//! The process is of a group of its own and outlives the agent: clients stay connected while the agent is restarted, and
//! lose the server when nobody renews.

use super::proxy::{Order, write_order};
use pilotlight_core::time::Mono;
use pilotlight_driver::gate::Gate;
use pilotlight_gate::order::socket_path;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// What a proxy process is made of.
#[derive(Debug, Clone)]
pub struct ProxyParts {
    /// Our own binary; it is called as `PROGRAM proxy --listen .. --server .. --orders ..`.
    pub program: PathBuf,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the server listens.
    pub server: SocketAddr,
    /// Where its socket and its log are: the agent's own folder of the component.
    pub folder: PathBuf,
}

pub(super) const ORDERS: &str = "proxy-orders";
const LOG: &str = "proxy.log";

/// See the module.
pub struct ProxyGate {
    name: String,
    parts: ProxyParts,
    socket: UnixDatagram,
    orders: PathBuf,
    /// Keeps `orders` valid where the folder's own path is too long for a socket.
    _folder: File,
    trouble: Mutex<Option<String>>,
}

impl ProxyGate {
    /// Starts nothing before the first order.
    pub fn new(parts: ProxyParts, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(&parts.folder)?;
        let folder = File::open(&parts.folder)?;
        let orders = socket_path(&parts.folder, &folder, ORDERS);
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let name = format!("connections of {name}");
        Ok(Self { name, parts, socket, orders, _folder: folder, trouble: Mutex::default() })
    }

    fn tell(&self, order: Order) {
        let told = self.socket.send_to(write_order(order).as_bytes(), &self.orders);
        let told = match told {
            Ok(_) => Ok(()),
            // Nobody listens: what is not there passes nothing, so only an order to pass needs a process.
            Err(e) if is_absent(&e) => match order {
                Order::Until(_) => self.start(),
                Order::Close | Order::End => Ok(()),
            },
            Err(e) => Err(e),
        };
        self.note(told.err());
    }

    /// The next renewal tells it until when.
    fn start(&self) -> io::Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.parts.folder.join(LOG))?;
        let mut child = Command::new(&self.parts.program)
            .arg("proxy")
            .args(["--listen", &self.parts.listen.to_string(), "--server", &self.parts.server.to_string()])
            .args(["--orders", ORDERS])
            .current_dir(&self.parts.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .env_clear()
            .process_group(0)
            .spawn()?;
        // Its end is seen by the next order; the thread only takes its exit status, so that no zombie is left.
        std::thread::Builder::new().name("proxy-wait".to_owned()).spawn(move || child.wait()).map(|_| ())
    }

    fn note(&self, failed: Option<io::Error>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let said = failed.map(|e| e.to_string());
        if let Some(said) = said.as_ref().filter(|said| trouble.as_ref() != Some(said)) {
            tracing::error!(gate = self.name, "the proxy cannot be told: {said}");
        }
        *trouble = said;
    }
}

/// The socket is not there, or nobody holds it open.
fn is_absent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

impl Gate for ProxyGate {
    fn name(&self) -> &str {
        &self.name
    }

    fn allow(&self, until: Mono) {
        self.tell(Order::Until(until));
    }

    fn close(&self) {
        self.tell(Order::Close);
    }

    fn bypasses(&self) -> Vec<String> {
        vec![
            format!("clients that reach the server at {} without the proxy", self.parts.server),
            "clients on this machine that use the server's Unix socket".to_owned(),
        ]
    }
}

//! The proxy as a gate of the agent: starts its process, tells it until when, and starts it again when it is gone.
//!
//! The process is of a group of its own and outlives the agent: clients stay connected while the agent is restarted, and
//! lose the server when nobody renews.

use super::proxy::{Order, write_order};
use pilotlight_core::code;
use pilotlight_core::outcome::{Finding, Severity};
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

/// So many renewals in a row found no process, though each started one: it does not stay.
const ENDS: u32 = 3;

/// Clients pass until the end that it was told last, if it still runs.
const UNTOLD: &str = "the proxy cannot be told until when it may let clients through";

/// See the module.
pub struct ProxyGate {
    name: String,
    parts: ProxyParts,
    socket: UnixDatagram,
    orders: PathBuf,
    /// Keeps `orders` valid where the folder's own path is too long for a socket.
    _folder: File,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    trouble: Option<String>,
    /// How many renewals in a row found no process.
    absent: u32,
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
        Ok(Self { name, parts, socket, orders, _folder: folder, state: Mutex::default() })
    }

    fn tell(&self, order: Order) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match self.socket.send_to(write_order(order).as_bytes(), &self.orders) {
            Ok(_) => {
                state.absent = 0;
                Ok(())
            }
            // Nobody listens: what is not there passes nothing, so only an order to pass needs a process.
            Err(e) if is_absent(&e) => match order {
                Order::Until(_) => {
                    state.absent = state.absent.saturating_add(1);
                    self.start().and_then(|()| stays(state.absent))
                }
                Order::Close | Order::End => Ok(()),
            },
            Err(e) => Err(e),
        };
        let said = told.err().map(|e| e.to_string());
        if let Some(said) = said.as_ref().filter(|said| state.trouble.as_ref() != Some(said)) {
            tracing::error!(gate = self.name, "{}: {UNTOLD}: {said}", code::NO_PROXY);
        }
        state.trouble = said;
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
}

/// The socket is not there, or nobody holds it open.
fn is_absent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// One that was started and is not there at the next renewal may still be starting, on a busy machine.
fn stays(absent: u32) -> io::Result<()> {
    if absent < ENDS {
        return Ok(());
    }
    // Without the count: it is said once, and again only when something else is the trouble.
    Err(io::Error::other("its process ends as soon as it is started"))
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

    fn trouble(&self) -> Option<Finding> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let said = state.trouble.as_ref()?;
        let log = self.parts.folder.join(LOG);
        Some(Finding {
            code: code::NO_PROXY.to_string(),
            severity: Severity::Warning,
            message: format!("{}: {UNTOLD}: {said}", self.name),
            hint: format!("mend what it says, or what {} says; the next renewal tries again", log.display()),
        })
    }

    fn bypasses(&self) -> Vec<String> {
        vec![
            format!("clients that reach the server at {} without the proxy", self.parts.server),
            "clients on this machine that use the server's Unix socket".to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_does_not_stay_or_cannot_be_started_is_told_until_one_takes_orders() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let parts = |program: &str| ProxyParts {
            program: PathBuf::from(program),
            listen: at,
            server: at,
            folder: folder.path().to_owned(),
        };
        let gate = ProxyGate::new(parts("/bin/false"), "database").expect("its folder is there");
        let mut told = Vec::new();
        for _ in 0..ENDS {
            gate.allow(Mono::default());
            told.push(gate.trouble().map(|finding| finding.code));
        }
        assert_eq!(told, [None, None, Some("PL-0339".to_owned())], "a machine may be busy");
        let first = gate.trouble().expect("it was told");
        gate.allow(Mono::default());
        assert_eq!(gate.trouble().as_ref(), Some(&first), "the log would say it with each renewal");
        let hint = first.hint;
        assert!(hint.contains(folder.path().join(LOG).to_str().expect("a path in UTF-8")), "{hint}");
        gate.close();
        assert_eq!(gate.trouble(), None, "nobody passes, as it was told");
        let _orders = UnixDatagram::bind(folder.path().join(ORDERS)).expect("a proxy's socket");
        gate.allow(Mono::default());
        assert_eq!(gate.trouble(), None);

        let none = ProxyGate::new(parts("/no-such-program"), "database").expect("its folder is there");
        std::fs::remove_file(folder.path().join(ORDERS)).expect("the socket's file");
        none.allow(Mono::default());
        let message = none.trouble().expect("nothing was started").message;
        assert!(message.contains("No such file"), "{message}");
    }
}

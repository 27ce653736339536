//! The proxy as a gate of the agent: starts its process, tells it until when, and starts it again when it is gone.
//!
//! The process is of a group of its own and outlives the agent: clients stay connected while the agent is restarted, and
//! lose the server when nobody renews.
//!
//! Orders are datagrams that wait for nobody, so they are sent at once; a start needs the disk and another process, so a thread
//! makes it: whoever renews has other leases to keep.

use super::note;
use super::proxy::{Order, write_order};
use pilotlight_core::code;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::time::Mono;
use pilotlight_driver::gate::Gate;
use pilotlight_gate::order::socket_path;
use socket2::SockRef;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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

/// Of a process that is there.
const UNREAD: &str = "its process does not read its orders: it is frozen, or hangs";

/// See the module.
pub struct ProxyGate {
    name: String,
    parts: ProxyParts,
    socket: UnixDatagram,
    orders: PathBuf,
    /// Keeps `orders` valid where the folder's own path is too long for a socket.
    _folder: File,
    desk: Arc<Desk>,
}

struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    name: String,
}

#[derive(Default)]
struct State {
    trouble: Option<String>,
    /// How many renewals in a row found no process; 0 when there is one, or none is needed.
    absent: u32,
    /// Why the newest start failed.
    unstarted: Option<String>,
    /// A process is to be started.
    start: bool,
    end: bool,
}

impl ProxyGate {
    /// Starts nothing but a thread before the first order.
    pub fn new(parts: ProxyParts, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(&parts.folder)?;
        let folder = File::open(&parts.folder)?;
        let orders = socket_path(&parts.folder, &folder, ORDERS);
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // As little as Linux allows, room for six orders: that nobody reads them is noticed in about a lease, also where the
        // other side's queue is long (`net.unix.max_dgram_qlen`). Elsewhere it bounds the length of one order.
        if cfg!(target_os = "linux") {
            SockRef::from(&socket).set_send_buffer_size(1)?;
        }
        let name = format!("connections of {name}");
        let desk = Arc::new(Desk { state: Mutex::default(), changed: Condvar::new(), name: name.clone() });
        let starter = Starter { desk: desk.clone(), parts: parts.clone() };
        std::thread::Builder::new().name("proxy-gate".to_owned()).spawn(move || starter.run())?;
        Ok(Self { name, parts, socket, orders, _folder: folder, desk })
    }

    fn tell(&self, order: Order) {
        let sent = self.socket.send_to(write_order(order).as_bytes(), &self.orders);
        let mut state = self.desk.lock();
        let said = match sent {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Some(UNREAD.to_owned()),
            Err(e) if !is_absent(&e) => Some(e.to_string()),
            // Nobody listens: what is not there passes nothing, so only an order to pass needs a process.
            Err(_) if matches!(order, Order::Until(_)) => {
                state.absent = state.absent.saturating_add(1);
                state.start = true;
                self.desk.changed.notify_all();
                state.unstarted.clone().or_else(|| ends(state.absent))
            }
            _ => {
                (state.absent, state.start, state.unstarted) = (0, false, None);
                None
            }
        };
        self.desk.note(&mut state, said);
    }
}

impl Drop for ProxyGate {
    fn drop(&mut self) {
        self.desk.lock().end = true;
        self.desk.changed.notify_all();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, state: &mut State, said: Option<String>) {
        note(&mut state.trouble, said, |said| {
            tracing::error!(gate = self.name, "{}: {UNTOLD}: {said}", code::NO_PROXY);
        });
    }
}

struct Starter {
    desk: Arc<Desk>,
    parts: ProxyParts,
}

impl Starter {
    fn run(self) {
        while self.is_wanted() {
            let unstarted = self.start().err().map(|e| e.to_string());
            let mut state = self.desk.lock();
            // Closed meanwhile, or there is one: nobody misses it.
            if state.absent > 0 {
                state.unstarted.clone_from(&unstarted);
                let said = unstarted.or_else(|| ends(state.absent));
                self.desk.note(&mut state, said);
            }
        }
    }

    /// Waits until a process is to be started; `false` at the end.
    fn is_wanted(&self) -> bool {
        let state = self.desk.lock();
        let waited = self.desk.changed.wait_while(state, |state| !state.start && !state.end);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.start = false;
        !state.end
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

/// One that was started and is not there at the next renewal may still be starting, on a busy machine. Without the count: it is
/// said once, and again only when something else is the trouble.
fn ends(absent: u32) -> Option<String> {
    (absent >= ENDS).then(|| "its process does not come up, or ends as soon as it is started".to_owned())
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
        let said = self.desk.lock().trouble.clone()?;
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
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use pilotlight_driver::clock::{Clock, SystemClock};
    use std::io::Read;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn gate(program: &str, folder: &std::path::Path) -> ProxyGate {
        let (listen, server) = (SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 1)));
        let parts = ProxyParts { program: PathBuf::from(program), listen, server, folder: folder.to_owned() };
        ProxyGate::new(parts, "database").expect("its folder is there")
    }

    fn told_by(gate: &ProxyGate) -> Finding {
        let end = SystemClock.mono() + PATIENCE;
        loop {
            if let Some(told) = gate.trouble() {
                return told;
            }
            assert!(SystemClock.mono() < end, "nothing was told");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_proxy_that_does_not_stay_or_cannot_be_started_is_told_until_one_takes_orders() {
        let folder = tempfile::tempdir().expect("a folder");
        let ends = gate("/bin/false", folder.path());
        let mut told = Vec::new();
        for _ in 0..ENDS {
            ends.allow(Mono::default());
            told.push(ends.trouble().map(|finding| finding.code));
        }
        assert_eq!(told, [None, None, Some("PL-0339".to_owned())], "a machine may be busy");
        let first = ends.trouble().expect("it was told");
        ends.allow(Mono::default());
        assert_eq!(ends.trouble().as_ref(), Some(&first), "the log would say it with each renewal");
        assert!(first.hint.contains(folder.path().join(LOG).to_str().expect("a path in UTF-8")), "{first:?}");
        ends.close();
        assert_eq!(ends.trouble(), None, "nobody passes, as it was told");
        let orders = UnixDatagram::bind(folder.path().join(ORDERS)).expect("a proxy's socket");
        ends.allow(Mono::default());
        assert_eq!(ends.trouble(), None);
        drop(orders);

        let none = gate("/no-such-program", folder.path());
        none.allow(Mono::default());
        let first = told_by(&none);
        assert!(first.message.contains("No such file"), "{first:?}");
        for _ in 0..ENDS {
            none.allow(Mono::default());
            assert_eq!(none.trouble().as_ref(), Some(&first));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_proxy_that_reads_no_orders_is_told_until_it_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let gate = gate("/bin/false", folder.path());
        let orders = UnixDatagram::bind(folder.path().join(ORDERS)).expect("a proxy's socket");
        // A lease is renewed six times; a queue has room for ten, or for hundreds.
        (0..8).for_each(|_| gate.allow(Mono::default()));
        let told = gate.trouble().expect("nobody has read an order");
        assert!(told.code == "PL-0339" && told.message.contains("frozen"), "{told:?}");
        orders.recv(&mut [0; 64]).expect("an order");
        gate.allow(Mono::default());
        assert_eq!(gate.trouble(), None);
    }

    #[test]
    fn a_renewal_does_not_wait_for_a_start_that_hangs() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join(LOG);
        // Whoever opens it to write waits until somebody reads.
        mkfifo(&log, Mode::S_IRWXU).expect("a pipe");
        let gate = gate("/bin/false", folder.path());
        let (renews, renewed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            (0..ENDS).for_each(|_| gate.allow(Mono::default()));
            gate.close();
            (0..ENDS).for_each(|_| gate.allow(Mono::default()));
            let _ = renews.send(gate);
        });
        let gate = renewed.recv_timeout(PATIENCE).expect("it waits for the start");
        assert!(gate.trouble().is_some_and(|told| told.message.contains("does not come up")));
        // The start goes on.
        let mut said = String::new();
        File::open(&log).and_then(|mut pipe| pipe.read_to_string(&mut said)).expect("it goes on");
    }
}

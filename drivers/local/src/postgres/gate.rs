//! The agent's end of the gate process: starts it, tells it until when it may confirm, replaces one that does not answer.
//!
//! Border: [`Gate::allow`] only notes the moment; a thread of its own speaks to the process. So neither a gate that hangs
//! nor a disk under its socket holds up the agent.
//!
//! Invariant: what the process is told is [`confirm_until`](pilotlight_core::gate::confirm_until) and nothing later.

mod process;

use pilotlight_core::gate::{confirm_until, sender_timeout};
use pilotlight_core::time::Mono;
use pilotlight_driver::gate::Gate;
use pilotlight_gate::order::{Order, Site, Word};
use process::Process;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two words to a gate that has nothing new to hear: it also says how it is.
const PULSE: Duration = Duration::from_millis(200);

/// What a gate process is made of.
pub struct GateParts {
    /// The program that is one when it is given [`GateParts::args`]; usually this program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where its socket, its name and its log live: the component's folder of the agent.
    pub folder: PathBuf,
    /// The component, for logs.
    pub component: String,
    /// The server's address from beside it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// A user that may replicate.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// `policy.lease`.
    pub lease: Duration,
    /// The RPO, where writes are to stall rather than expose more than that.
    pub stall_at: Option<Duration>,
}

/// The gate of one server.
pub struct PostgresGate {
    name: String,
    standby_name: String,
    stall_at: Option<Duration>,
    shared: Arc<Shared>,
}

struct Shared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    /// The end of the lease; nothing before the first one.
    lease_end: Option<Mono>,
    /// When the candidate is known to have had everything.
    fresh: Option<Mono>,
    /// Counts changes.
    version: u64,
    /// The gate is wanted no more.
    dropped: bool,
    /// What the process last said.
    word: Option<Word>,
}

impl PostgresGate {
    /// A gate that is closed; its process is started when it is first opened.
    pub fn new(parts: GateParts) -> std::io::Result<Arc<Self>> {
        std::fs::create_dir_all(&parts.folder)?;
        let name = process::name(&parts.folder)?;
        let site = Site {
            name: name.clone(),
            host: parts.host.clone(),
            port: parts.port,
            user: parts.user.clone(),
            password: parts.password.clone(),
            sender_timeout_ms: u64::try_from(sender_timeout(parts.lease).as_millis()).unwrap_or(u64::MAX),
            socket: "gate.sock".to_owned(),
        };
        let shared = Arc::new(Shared { wanted: Mutex::default(), changed: Condvar::new() });
        let gate = Self {
            name: format!("commits of {}", parts.component),
            standby_name: name,
            stall_at: parts.stall_at,
            shared: shared.clone(),
        };
        let (lease, stall_at) = (parts.lease, parts.stall_at);
        let mut process = Process::new(parts, site);
        std::thread::Builder::new()
            .name("gate".to_owned())
            .spawn(move || keep(&shared, &mut process, lease, stall_at))?;
        Ok(Arc::new(gate))
    }

    /// The name under which the writer waits for it.
    pub fn standby_name(&self) -> &str {
        &self.standby_name
    }

    /// The candidate was seen to have everything that the writer had at that moment.
    pub(super) fn candidate_fresh(&self, at: Mono) {
        if self.stall_at.is_some() {
            self.shared.change(|wanted| wanted.fresh = wanted.fresh.max(Some(at)));
        }
    }

    /// What the process last said.
    pub fn word(&self) -> Option<Word> {
        self.shared.lock().word.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.lock();
        change(&mut wanted);
        wanted.version += 1;
        drop(wanted);
        self.changed.notify_all();
    }
}

impl Wanted {
    fn until(&self, lease: Duration, stall_at: Option<Duration>) -> Option<Mono> {
        // A candidate that was never seen to have everything bounds nothing, and nothing may be exposed beside it.
        let fresh = stall_at.map(|rpo| (self.fresh.unwrap_or_default(), rpo));
        self.lease_end.map(|end| confirm_until(end, lease, fresh))
    }
}

impl Gate for PostgresGate {
    fn name(&self) -> &str {
        &self.name
    }

    fn allow(&self, until: Mono) {
        self.shared.change(|wanted| wanted.lease_end = wanted.lease_end.max(Some(until)));
    }

    fn close(&self) {
        self.shared.change(|wanted| wanted.lease_end = wanted.lease_end.map(|_| Mono::default()));
    }

    fn bypasses(&self) -> Vec<String> {
        [
            "sessions that set synchronous_commit to off or local: any role may",
            "a client that cancels its commit while it waits: it is told that the row is there",
            "readers: rows that wait are not acknowledged, but become visible after a restart and to logical consumers",
        ]
        .map(str::to_owned)
        .into()
    }
}

impl Drop for PostgresGate {
    fn drop(&mut self) {
        // The process goes on until the moment it was told: the next agent adopts it.
        self.shared.change(|wanted| wanted.dropped = true);
    }
}

/// The thread: tells the process what is new, and asks it how it is when nothing is.
fn keep(shared: &Shared, process: &mut Process, lease: Duration, stall_at: Option<Duration>) {
    let mut told = 0;
    loop {
        let wanted = shared.lock();
        let (wanted, _) = shared
            .changed
            .wait_timeout_while(wanted, PULSE, |w| w.version == told && !w.dropped)
            .unwrap_or_else(PoisonError::into_inner);
        if wanted.dropped {
            return;
        }
        told = wanted.version;
        let until = wanted.until(lease, stall_at);
        drop(wanted);
        let Some(until) = until else { continue };
        let word = process.tell(&Order::until(until));
        shared.lock().word = word;
    }
}

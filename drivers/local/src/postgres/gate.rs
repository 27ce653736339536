//! The agent's end of the gate process: starts it, tells it until when it may confirm, replaces one that does not answer.
//!
//! Border: [`Gate::allow`] only notes the moment; a thread of its own speaks to the process. So neither a gate that hangs
//! nor a disk under its socket holds up the agent.
//!
//! Invariants:
//! - what the process is told is [`confirm_until`](pilotlight_core::gate::confirm_until) and nothing later;
//! - what it says is believed for [`WORD_HOLDS`] only: a thread that ended leaves its last word behind.

mod process;

use pilotlight_core::code;
use pilotlight_core::gate::{Apart, CONNECTS_WITHIN, confirm_until, sender_timeout};
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::gate::Gate;
use pilotlight_driver::rarely::Rarely;
use pilotlight_gate::order::{Order, Site, Word};
use process::Process;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two words to a gate that has nothing new to hear: it also says how it is.
const PULSE: Duration = Duration::from_millis(200);

/// A word that is older says nothing. The thread asks every [`PULSE`], and gives up on an answer within a second or two.
const WORD_HOLDS: Duration = Duration::from_secs(2);

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
    lease: Duration,
    stall_at: Option<Duration>,
    shared: Arc<Shared>,
    seen: Mutex<Seen>,
    rarely: Rarely,
}

/// What looks have found so far.
#[derive(Default)]
struct Seen {
    apart: Apart,
    /// The trouble that was told last.
    told: Option<String>,
}

/// How it is, for people who look at the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// In a word or a sentence.
    pub(super) says: String,
    /// It may confirm and has not been able to for a while: why.
    pub(super) apart: Option<String>,
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
    /// What the process last said, and when.
    word: Option<(Word, Mono)>,
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
            lease: parts.lease,
            stall_at: parts.stall_at,
            shared: shared.clone(),
            seen: Mutex::default(),
            rarely: Rarely::default(),
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

    /// What the process last said, unless that was long ago.
    pub fn word(&self) -> Option<Word> {
        let (word, heard) = self.shared.lock().word.clone()?;
        (SystemClock.mono().since(heard) < WORD_HOLDS).then_some(word)
    }

    /// How it is beside a server that is a writer now. Trouble that lasts is logged once per change.
    pub(super) fn standing(&self) -> Standing {
        let now = SystemClock.mono();
        let may = self.shared.lock().until(self.lease, self.stall_at).is_some_and(|until| now < until);
        self.stands(now, may, self.word())
    }

    fn stands(&self, now: Mono, may: bool, word: Option<Word>) -> Standing {
        let connected = word.as_ref().is_some_and(|w| w.linked);
        let says = match word {
            Some(word) if word.linked => "confirms".to_owned(),
            Some(word) => word.trouble.unwrap_or_else(|| "closed".to_owned()),
            None => "does not answer".to_owned(),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let apart = seen.apart.looked(now, may, connected).then(|| {
            let within = show_duration(CONNECTS_WITHIN);
            format!("the gate may confirm and is not connected, for more than {within}: {says}")
        });
        if apart != seen.told && self.rarely.may_say(if apart.is_some() { "apart" } else { "well" }, now) {
            match &apart {
                Some(apart) => tracing::warn!(gate = self.name, "{}: {apart}", code::GATE_APART),
                None => tracing::info!(gate = self.name, "the gate is connected, or closed: {says}"),
            }
            seen.told.clone_from(&apart);
        }
        Standing { says, apart }
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
        shared.lock().word = word.map(|word| (word, SystemClock.mono()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(folder: &std::path::Path) -> Arc<PostgresGate> {
        let parts = GateParts {
            program: "/no/such/program".into(),
            args: Vec::new(),
            folder: folder.to_owned(),
            component: "database".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 1,
            user: "postgres".to_owned(),
            password: None,
            lease: Duration::from_secs(3),
            stall_at: None,
        };
        PostgresGate::new(parts).unwrap()
    }

    fn word(linked: bool, trouble: Option<&str>) -> Word {
        Word { pid: 1, name: "pl_gate".to_owned(), linked, confirmed: 0, trouble: trouble.map(str::to_owned) }
    }

    #[test]
    fn trouble_of_a_gate_that_may_confirm_is_told_when_it_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let gate = gate(folder.path());
        let at = |tenths: u64| Mono(Duration::from_millis(60_000 + 100 * tenths));
        let full = || Some(word(false, Some("number of requested standby connections exceeds max_wal_senders")));
        let early = gate.stands(at(0), true, full());
        assert!(early.says.contains("max_wal_senders") && early.apart.is_none(), "{early:?}");
        let lasting = (1..=30).map(|t| gate.stands(at(t), true, full())).fold(early, |_, stands| stands);
        assert!(lasting.apart.is_some_and(|apart| apart.contains("max_wal_senders")));
        assert!(gate.stands(at(31), true, None).apart.is_some_and(|apart| apart.ends_with("does not answer")));
        assert_eq!(gate.stands(at(32), false, full()).apart, None, "it is not to be connected");
        let well = gate.stands(at(33), true, Some(word(true, None)));
        assert_eq!(well, Standing { says: "confirms".to_owned(), apart: None });
    }

    #[test]
    fn what_was_said_long_ago_is_not_said_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let gate = gate(folder.path());
        let now = SystemClock.mono();
        gate.shared.lock().word = Some((word(true, None), now));
        assert_eq!(gate.word().map(|w| w.linked), Some(true));
        gate.shared.lock().word = Some((word(true, None), Mono(now.0.saturating_sub(WORD_HOLDS))));
        assert_eq!(gate.word(), None);
        assert_eq!(gate.standing().says, "does not answer");
    }
}

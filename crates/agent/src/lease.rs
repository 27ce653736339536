//! The holder's side of the lease: how long the region may write, the thread that acts when that is over, and the note
//! on disk that lets a restarted agent know what is left.
//!
//! Invariants:
//! - the guard runs on a thread and a runtime of its own, so that nothing the agent's other tasks do can delay it;
//! - the note never says more than was granted: it is written after the lease was renewed, and read only on the same
//!   boot of the machine, where the monotonic clock is the same;
//! - a lease that was over before this agent started is not the guard's business: the agent asks first (`upkeep`).

mod guard;

pub use guard::GuardRuns;
pub(crate) use guard::spawn_guard;

use crate::Agent;
use async_trait::async_trait;
use pilotlight_core::id::Unit;
use pilotlight_core::lease::Holder;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What every unit's lease is, for all tasks and the guard.
pub(crate) struct Leases {
    clock: Arc<dyn Clock>,
    held: Mutex<BTreeMap<Unit, Held>>,
    moved: Condvar,
    /// The ends of all leases, for the note on disk.
    ends: watch::Sender<BTreeMap<Unit, Mono>>,
}

#[derive(Default)]
struct Held {
    holder: Holder,
    /// The guard has done its work for the lease that ended then.
    fenced_for: Option<Mono>,
}

impl Leases {
    /// Starts with what an earlier agent of this region noted.
    pub(crate) fn new(clock: Arc<dyn Clock>, noted: BTreeMap<Unit, Mono>) -> Self {
        let now = clock.mono();
        let held = noted.iter().map(|(unit, until)| {
            let mut holder = Holder::default();
            holder.renewed(*until, Duration::ZERO);
            let fenced_for = (*until <= now).then_some(*until);
            (unit.clone(), Held { holder, fenced_for })
        });
        let held = Mutex::new(held.collect());
        Self { clock, held, moved: Condvar::new(), ends: watch::Sender::new(noted) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Unit, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The controller has renewed it; `sent` was read before the heartbeat left. Returns until when it is valid.
    pub(crate) fn renewed(&self, unit: &Unit, sent: Mono, lease: Duration) -> Mono {
        let until = self.lock().entry(unit.clone()).or_default().holder.renewed(sent, lease);
        self.moved.notify_all();
        self.ends.send_modify(|ends| {
            ends.insert(unit.clone(), until);
        });
        until
    }

    /// The region may write now.
    pub(crate) fn is_valid(&self, unit: &Unit) -> bool {
        let now = self.clock.mono();
        self.lock().get(unit).is_some_and(|h| h.holder.is_valid(now))
    }

    /// The region has held the lease once, perhaps under an earlier agent.
    pub(crate) fn once_granted(&self, unit: &Unit) -> bool {
        self.lock().contains_key(unit)
    }

    /// Returns once the lease is over.
    pub(crate) async fn over(&self, unit: &Unit) {
        loop {
            let now = self.clock.mono();
            let left = match self.lock().get(unit).and_then(|h| h.holder.valid_until()) {
                Some(until) if until > now => until.since(now),
                _ => return,
            };
            self.clock.sleep(left).await;
        }
    }

    /// The leases that have ended and were not fenced for, or how long to wait for one, at most `longest`.
    fn ended(&self, longest: Duration) -> Result<Vec<(Unit, Mono)>, Duration> {
        ended(&self.lock(), self.clock.mono(), longest)
    }

    /// Waits at most `longest` for a lease to end that was not fenced for; the only wait of the guard's thread.
    fn wait_for_end(&self, longest: Duration) -> Vec<(Unit, Mono)> {
        let held = self.lock();
        match ended(&held, self.clock.mono(), longest) {
            Ok(over) => over,
            Err(wait) => {
                // What woke it does not matter: the caller comes back and looks.
                drop(self.moved.wait_timeout(held, wait));
                Vec::new()
            }
        }
    }

    fn fenced(&self, unit: &Unit, end: Mono) {
        if let Some(held) = self.lock().get_mut(unit) {
            held.fenced_for = Some(end);
        }
    }
}

impl Held {
    fn unfenced_end(&self, now: Mono) -> Option<Mono> {
        let until = self.holder.valid_until()?;
        (now >= until && self.fenced_for != Some(until)).then_some(until)
    }
}

fn ended(held: &BTreeMap<Unit, Held>, now: Mono, longest: Duration) -> Result<Vec<(Unit, Mono)>, Duration> {
    let over: Vec<_> = held.iter().filter_map(|(unit, h)| Some((unit.clone(), h.unfenced_end(now)?))).collect();
    if !over.is_empty() {
        return Ok(over);
    }
    let next = held.values().filter_map(|h| h.holder.valid_until()).filter(|until| *until > now).min();
    Err(next.map_or(longest, |until| until.since(now).min(longest)))
}

/// What an agent process leaves for the next one of its region.
#[async_trait]
pub trait Notes: Send + Sync {
    /// When each lease ends that was noted; the beginning of time for one of another boot or that cannot be read.
    fn load(&self) -> BTreeMap<Unit, Mono>;
    /// Notes when each lease ends.
    async fn store(&self, ends: BTreeMap<Unit, Mono>) -> std::io::Result<()>;
}

/// The note on disk.
#[derive(Clone)]
pub struct FileNotes {
    path: PathBuf,
    boot: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    /// Which boot of the machine the clock values belong to.
    boot: Option<String>,
    /// Milliseconds of the monotonic clock at which each unit's lease ends.
    ends_ms: BTreeMap<Unit, u64>,
}

/// What Linux's kernel says of itself under that name; `None` on other systems.
pub(crate) fn told_by_kernel(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?;
    Some(text.trim().to_owned())
}

impl FileNotes {
    /// The note of the agent whose folder this is, which is made if need be.
    pub fn open(state_dir: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(state_dir)?;
        // Where the system does not name its boots, an earlier lease counts as over: the agent asks before it acts.
        Ok(Self { path: state_dir.join("lease.json"), boot: told_by_kernel("random/boot_id") })
    }

    fn read(&self) -> BTreeMap<Unit, Mono> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(_) => return BTreeMap::new(),
        };
        let note: Note = match serde_json::from_slice(&text) {
            Ok(note) => note,
            Err(e) => {
                tracing::warn!("the lease note {} is unreadable and ignored: {e}", self.path.display());
                return BTreeMap::new();
            }
        };
        let same_boot = note.boot.is_some() && note.boot == self.boot;
        let end = |ms: u64| if same_boot { Mono(Duration::from_millis(ms)) } else { Mono::default() };
        note.ends_ms.into_iter().map(|(unit, ms)| (unit, end(ms))).collect()
    }

    /// Written aside and renamed, so that a reader sees the old or the new one. Not flushed: after a crash of the machine
    /// the note is of another boot anyway.
    fn write(&self, ends: &BTreeMap<Unit, Mono>) -> std::io::Result<()> {
        let ms = |end: &Mono| u64::try_from(end.0.as_millis()).unwrap_or(u64::MAX);
        let ends_ms = ends.iter().map(|(unit, end)| (unit.clone(), ms(end))).collect();
        let aside = self.path.with_extension("tmp");
        std::fs::write(&aside, serde_json::to_vec(&Note { boot: self.boot.clone(), ends_ms })?)?;
        std::fs::rename(&aside, &self.path)
    }
}

#[async_trait]
impl Notes for FileNotes {
    fn load(&self) -> BTreeMap<Unit, Mono> {
        self.read()
    }

    async fn store(&self, ends: BTreeMap<Unit, Mono>) -> std::io::Result<()> {
        let notes = self.clone();
        tokio::task::spawn_blocking(move || notes.write(&ends)).await.map_err(std::io::Error::other).flatten()
    }
}

/// Keeps the note up to date. A disk that hangs or is full delays only the note.
pub(crate) async fn save(agent: &Agent, notes: &dyn Notes) {
    let mut ends = agent.leases.ends.subscribe();
    let mut complained = false;
    loop {
        tokio::select! {
            biased;
            changed = ends.changed() => if changed.is_err() { return },
            () = agent.shutdown.cancelled() => return,
        }
        let now = ends.borrow_and_update().clone();
        let error = notes.store(now).await.err();
        if let Some(e) = &error
            && !complained
        {
            tracing::warn!("cannot note the lease: {e}; a restarted agent will fence sooner");
        }
        complained = error.is_some();
    }
}

#[cfg(test)]
mod tests;

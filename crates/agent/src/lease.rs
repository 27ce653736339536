//! The holder's side of the lease: how long the region may write, the threads that act when that is over, and the note
//! on disk that lets a restarted agent know what is left.
//!
//! Invariants:
//! - the guard of each copy runs on a thread and a runtime of its own, so that nothing the agent's other tasks or the fence
//!   of another copy do can delay it;
//! - the note never says more than was granted: it is written after the lease was renewed, and read only on the same
//!   boot of the machine, where the monotonic clock is the same;
//! - a lease that was over before this agent started is not the guards' business: the agent asks first (`upkeep`).

mod guard;

#[cfg(test)]
pub(crate) use guard::tests as guard_tests;

pub use guard::GuardRuns;
pub(crate) use guard::spawn_guards;

use crate::Agent;
use crate::heard::Heard;
use async_trait::async_trait;
use pilotlight_core::id::Unit;
use pilotlight_core::lease::Holder;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::file;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What every unit's lease is, for all tasks and the guards.
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
    /// It was over, then, before this agent started.
    over_at_start: Option<Mono>,
}

impl Leases {
    /// Starts with what an earlier agent of this region noted.
    pub(crate) fn new(clock: Arc<dyn Clock>, noted: BTreeMap<Unit, Mono>) -> Self {
        let now = clock.mono();
        let held = noted.iter().map(|(unit, until)| {
            let mut holder = Holder::default();
            holder.renewed(*until, Duration::ZERO);
            let over_at_start = (*until <= now).then_some(*until);
            (unit.clone(), Held { holder, over_at_start })
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

    /// When the unit's lease ended, if that was before this agent started.
    fn over_at_start(&self, unit: &Unit) -> Option<Mono> {
        self.lock().get(unit)?.over_at_start
    }

    /// When the unit's lease has ended, if that is another end than the one that was `dealt_with`, or how long to wait for
    /// it, at most `longest`.
    fn ended(&self, unit: &Unit, dealt_with: Option<Mono>, longest: Duration) -> Result<Mono, Duration> {
        ended(self.lock().get(unit), dealt_with, self.clock.mono(), longest)
    }

    /// Waits at most `longest` for the unit's lease to end; the only wait of a guard's thread.
    fn wait_for_end(&self, unit: &Unit, dealt_with: Option<Mono>, longest: Duration) -> Option<Mono> {
        let held = self.lock();
        match ended(held.get(unit), dealt_with, self.clock.mono(), longest) {
            Ok(end) => Some(end),
            Err(wait) => {
                // What woke it does not matter: the caller comes back and looks.
                drop(self.moved.wait_timeout(held, wait));
                None
            }
        }
    }
}

fn ended(held: Option<&Held>, dealt_with: Option<Mono>, now: Mono, longest: Duration) -> Result<Mono, Duration> {
    match held.and_then(|held| held.holder.valid_until()) {
        Some(until) if now < until => Err(until.since(now).min(longest)),
        Some(until) if dealt_with != Some(until) => Ok(until),
        _ => Err(longest),
    }
}

/// What an agent process leaves for the next one of its region.
#[async_trait]
pub trait Notes: Send + Sync {
    /// When each lease ends that was noted; the beginning of time for one of another boot or that cannot be read.
    fn load(&self) -> BTreeMap<Unit, Mono>;
    /// Notes when each lease ends.
    async fn store(&self, ends: BTreeMap<Unit, Mono>) -> std::io::Result<()>;
    /// What was heard of the store and its leaders; nothing where it cannot be read.
    fn heard(&self) -> Heard;
    /// Notes what was heard; durable when it returns.
    async fn hears(&self, heard: Heard) -> std::io::Result<()>;
}

/// The note on disk.
#[derive(Clone)]
pub struct FileNotes {
    /// Of leases.
    path: PathBuf,
    /// Of what was heard; of no boot, and flushed.
    heard: PathBuf,
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
        let boot = told_by_kernel("random/boot_id");
        Ok(Self { path: state_dir.join("lease.json"), heard: state_dir.join("heard.json"), boot })
    }

    fn read(&self) -> BTreeMap<Unit, Mono> {
        let Some(note) = read_note::<Note>(&self.path) else { return BTreeMap::new() };
        let same_boot = note.boot.is_some() && note.boot == self.boot;
        let end = |ms: u64| if same_boot { Mono(Duration::from_millis(ms)) } else { Mono::default() };
        note.ends_ms.into_iter().map(|(unit, ms)| (unit, end(ms))).collect()
    }

    /// Not flushed: after a crash of the machine the note is of another boot anyway.
    fn write(&self, ends: &BTreeMap<Unit, Mono>) -> std::io::Result<()> {
        let ms = |end: &Mono| u64::try_from(end.0.as_millis()).unwrap_or(u64::MAX);
        let ends_ms = ends.iter().map(|(unit, end)| (unit.clone(), ms(end))).collect();
        file::replace_unflushed(&self.path, &serde_json::to_vec(&Note { boot: self.boot.clone(), ends_ms })?)
    }

    /// On disk when it returns: it is asked for after the machine was lost, too.
    fn write_heard(&self, heard: &Heard) -> std::io::Result<()> {
        file::replace(&self.heard, &serde_json::to_vec(heard)?)
    }
}

fn read_note<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = std::fs::read(path).ok()?;
    let unreadable = |e: &_| tracing::warn!("the note {} is unreadable and ignored: {e}", path.display());
    serde_json::from_slice(&text).inspect_err(unreadable).ok()
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

    fn heard(&self) -> Heard {
        read_note(&self.heard).unwrap_or_default()
    }

    async fn hears(&self, heard: Heard) -> std::io::Result<()> {
        let notes = self.clone();
        tokio::task::spawn_blocking(move || notes.write_heard(&heard)).await.map_err(std::io::Error::other).flatten()
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

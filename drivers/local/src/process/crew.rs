//! All instances of one program: who is there, who should be, and when the dead may try again.
//!
//! Whoever starts or ends instances holds `turn`; `slots` is held only for looks and notes.

use super::ProcessParts;
use super::identity::Identity;
use super::instance;
use pilotlight_core::outcome::Failure;
use pilotlight_driver::file::replace;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// An instance is asked to end so long before it is killed, if there is time.
const GRACE: Duration = Duration::from_secs(5);

/// Adopted instances send no signal when they die, so they are looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The first death is answered after this; each further one after twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One that ran so long is not counted among those that keep dying.
const STEADY: Duration = Duration::from_secs(30);

pub(super) struct Crew {
    folder: PathBuf,
    turn: tokio::sync::Mutex<()>,
    slots: Mutex<Slots>,
    death: Arc<Notify>,
    changed: Notify,
}

#[derive(Default)]
struct Slots {
    desired: u32,
    by_number: BTreeMap<u32, Slot>,
    complaint: Option<String>,
}

struct Slot {
    runs: Option<Identity>,
    since: Instant,
    deaths: u32,
    not_before: Instant,
}

impl Slot {
    fn new(runs: Option<Identity>) -> Self {
        Self { runs, since: Instant::now(), deaths: 0, not_before: Instant::now() }
    }

    fn is_alive(&self) -> bool {
        self.runs.as_ref().is_some_and(Identity::is_alive)
    }

    fn died(&mut self) {
        let now = Instant::now();
        self.deaths = if now - self.since >= STEADY { 1 } else { self.deaths.saturating_add(1) };
        let doublings = (self.deaths - 1).min(16);
        self.not_before = now + (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        self.runs = None;
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Desired {
    instances: u32,
}

impl Crew {
    pub(super) fn open(parts: &ProcessParts) -> io::Result<Self> {
        std::fs::create_dir_all(&parts.folder)?;
        // Marks in environments hold the full path.
        let folder = parts.folder.canonicalize()?;
        let desired = match std::fs::read(folder.join("desired.json")) {
            Ok(text) => serde_json::from_slice::<Desired>(&text)?.instances,
            Err(e) if e.kind() == io::ErrorKind::NotFound => parts.initial,
            Err(e) => return Err(e),
        };
        let found = instance::find(&folder)?;
        let by_number = found.into_iter().map(|(number, identity)| (number, Slot::new(Some(identity)))).collect();
        let slots = Mutex::new(Slots { desired, by_number, complaint: None });
        let crew = Self { folder, turn: Default::default(), slots, death: Arc::default(), changed: Notify::new() };
        crew.list_pids()?;
        Ok(crew)
    }

    pub(super) fn desired(&self) -> u32 {
        self.slots().desired
    }

    /// Those of the wanted numbers that run.
    pub(super) fn alive(&self) -> BTreeMap<u32, Identity> {
        let slots = self.slots();
        let wanted = slots.by_number.range(..=slots.desired).filter(|(_, slot)| slot.is_alive());
        wanted.filter_map(|(number, slot)| Some((*number, slot.runs.clone()?))).collect()
    }

    /// Every wanted instance runs and no other.
    pub(super) fn is_complete(&self) -> bool {
        let slots = self.slots();
        let alive: Vec<u32> = slots.by_number.iter().filter(|(_, slot)| slot.is_alive()).map(|(n, _)| *n).collect();
        alive.into_iter().eq(1..=slots.desired)
    }

    /// Why the last instance that could not be started or kept running could not.
    pub(super) fn complaint(&self) -> Option<String> {
        self.slots().complaint.clone()
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) async fn until_next_look(&self) {
        tokio::select! {
            () = self.death.notified() => {}
            () = sleep(LOOK_EVERY) => {}
        }
    }

    /// Makes it so many, now: also those that were waiting for another try.
    pub(super) async fn set(&self, parts: &ProcessParts, instances: u32, patience: Duration) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let before = self.desired();
        self.note_desired(instances).map_err(|e| {
            let folder = self.folder.display();
            Failure::transient(format!("cannot note {instances} instances in {folder}, so nothing was done: {e}"))
        })?;
        self.bury();
        let missing: Vec<u32> = (1..=instances).filter(|n| !self.slots().is_alive(*n)).collect();
        let mut started = Vec::new();
        for number in missing {
            if let Err(e) = self.start(parts, number) {
                let _ = self.note_desired(before);
                self.stop(started, patience).await;
                return Err(unstartable(parts, &e));
            }
            started.push(number);
        }
        let beyond: Vec<u32> = self.slots().by_number.range(instances + 1..).map(|(n, _)| *n).collect();
        let left = self.stop(beyond, patience).await;
        self.after_change();
        if left > 0 {
            let (component, region) = (&parts.component, &parts.region);
            return Err(Failure::unknown(format!("{left} instances of {component} in {region} do not end")));
        }
        Ok(())
    }

    /// Starts what has died and may try again; ends what is too many.
    pub(super) async fn restore(&self, parts: &ProcessParts) {
        let _turn = self.turn.lock().await;
        let mut change = self.bury();
        let now = Instant::now();
        let (due, beyond): (Vec<u32>, Vec<u32>) = {
            let slots = self.slots();
            let may_start = |n: &u32| slots.by_number.get(n).is_none_or(|s| s.runs.is_none() && s.not_before <= now);
            let due = (1..=slots.desired).filter(may_start).collect();
            (due, slots.by_number.range(slots.desired + 1..).map(|(n, _)| *n).collect())
        };
        change |= !due.is_empty() || !beyond.is_empty();
        for number in due {
            if let Err(e) = self.start(parts, number) {
                let failure = unstartable(parts, &e);
                tracing::warn!(component = %parts.component, number, "{failure}");
                let mut slots = self.slots();
                slots.complaint = Some(failure.message);
                slots.by_number.entry(number).or_insert_with(|| Slot::new(None)).died();
            }
        }
        self.stop(beyond, GRACE).await;
        if change {
            self.after_change();
        }
    }

    /// Forgets the dead. True when there were any.
    fn bury(&self) -> bool {
        let mut slots = self.slots();
        let mut complaint = None;
        for (number, slot) in &mut slots.by_number {
            if let Some(dead) = slot.runs.take_if(|identity| !identity.is_alive()) {
                instance::forget(&self.folder, *number, &dead);
                let words = instance::last_words(&self.folder, *number);
                tracing::warn!(number, pid = dead.pid, last_words = words, "an instance has ended by itself");
                complaint = Some(format!("instance {number} has ended by itself"));
                slot.died();
            }
        }
        let any = complaint.is_some();
        slots.complaint = complaint.or(slots.complaint.take());
        any
    }

    fn start(&self, parts: &ProcessParts, number: u32) -> io::Result<()> {
        let parts = ProcessParts { folder: self.folder.clone(), ..parts.clone() };
        let (identity, child) = instance::start(&parts, number)?;
        self.reap(child);
        let mut slots = self.slots();
        let slot = slots.by_number.entry(number).or_insert_with(|| Slot::new(None));
        (slot.runs, slot.since) = (Some(identity), Instant::now());
        Ok(())
    }

    /// Waits for the end of a child, which is the only way to be told of it at once. When this process ends before, the
    /// child goes on.
    fn reap(&self, mut child: Child) {
        let death = Arc::clone(&self.death);
        tokio::spawn(async move {
            let _ = child.wait().await;
            death.notify_one();
        });
    }

    /// Ends them side by side; says how many are still there.
    async fn stop(&self, numbers: Vec<u32>, patience: Duration) -> usize {
        let mut ending = JoinSet::new();
        for number in numbers {
            let runs = self.slots().by_number.get(&number).and_then(|slot| slot.runs.clone());
            let folder = self.folder.clone();
            ending.spawn(async move {
                let gone = match runs {
                    Some(identity) => instance::stop(&folder, number, &identity, patience.min(GRACE)).await,
                    None => true,
                };
                (number, gone)
            });
        }
        let mut left = 0;
        for (number, gone) in ending.join_all().await {
            if gone {
                self.slots().by_number.remove(&number);
            } else {
                left += 1;
            }
        }
        left
    }

    fn note_desired(&self, instances: u32) -> io::Result<()> {
        replace(&self.folder.join("desired.json"), &serde_json::to_vec(&Desired { instances })?)?;
        self.slots().desired = instances;
        Ok(())
    }

    fn after_change(&self) {
        if let Err(e) = self.list_pids() {
            tracing::warn!(folder = %self.folder.display(), error = %e, "cannot list the instances");
        }
        self.changed.notify_waiters();
    }

    fn list_pids(&self) -> io::Result<()> {
        let lines: String = {
            let slots = self.slots();
            slots.by_number.values().filter_map(|slot| Some(format!("{}\n", slot.runs.as_ref()?.pid))).collect()
        };
        replace(&self.folder.join("pids"), lines.as_bytes())
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn is_alive(&self, number: u32) -> bool {
        self.by_number.get(&number).is_some_and(Slot::is_alive)
    }
}

fn unstartable(parts: &ProcessParts, error: &io::Error) -> Failure {
    let program = parts.command.argv.first().map_or("", String::as_str);
    let said = format!("cannot start {program} for {} in {}: {error}", parts.component, parts.region);
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => {
            Failure::rejected(said).hint("is the program there, and may it be run?")
        }
        _ => Failure::transient(said),
    }
}

//! What must hold in every world, and the first thing that did not.
//!
//! Border: only sees what really happened (which nobody in the simulated world does), never what the code believes.

use crate::place::Place;
use crate::timeline::Nanos;
use pilotlight_core::id::{EffectKey, Epoch};
use std::collections::{BTreeMap, BTreeSet};

macro_rules! laws {
    ($($(#[doc = $doc:literal])+ $law:ident = $name:literal,)+) => {
        /// A law of every world.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Law { $($(#[doc = $doc])+ $law,)+ }

        impl Law {
            /// Every one.
            pub const ALL: &'static [Law] = &[$(Law::$law,)+];

            /// Its name in reports.
            pub fn name(self) -> &'static str {
                match self { $(Law::$law => $name,)+ }
            }

            /// What it says.
            pub fn says(self) -> &'static str {
                match self { $(Law::$law => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

laws! {
    /// No side acknowledges anything that the new side lacks once another side was promoted.
    OldSideSilent = "old-side-silent",
    /// At most one copy can acknowledge.
    OneWriter = "one-writer",
    /// At most one region whose copy is not fenced believes that it holds the lease.
    OneLease = "one-lease",
    /// A copy becomes the writer only while its region was granted the lease and it has not ended, or is it again where
    /// nobody can take its place, as the store has it or, for one that waits for somebody, as its agent was told last. What
    /// is fenced no agent starts by itself.
    WriterHoldsLease = "writer-holds-lease",
    /// No effect is applied where a newer run has already applied one; what the DNS authority refuses is none.
    NoOldEpoch = "no-old-epoch",
    /// The loss that is measured from outside is the loss that happened.
    LossIsReported = "loss-is-reported",
    /// While the store has a candidate, the writer acknowledges nothing without it or the gate.
    CandidateIsAwaited = "candidate-is-awaited",
    /// Under strict, an automatic failover loses nothing that was acknowledged.
    StrictLosesNothing = "strict-loses-nothing",
    /// Where writes stall beyond the RPO, an automatic failover loses no more than that.
    RpoHolds = "rpo-holds",
    /// What an automatic failover loses spans no more time than it was told to lose when it began.
    ToldSpanHolds = "told-span-holds",
    /// A planned move loses nothing.
    HandOverLosesNothing = "hand-over-loses-nothing",
    /// Once a copy was promoted, no run makes an older writer the writer again.
    NoWayBack = "no-way-back",
    /// What was acknowledged is on the new writer, on a disk, or was kept before a rewind.
    NothingVanishes = "nothing-vanishes",
    /// A name that was published is never empty.
    NameNeverEmpty = "name-never-empty",
    /// What may not be repeated is done at most once.
    DoneOnce = "done-once",
    /// A record that is durable stays as it is.
    JournalStands = "journal-stands",
    /// A run's fence that reaches an agent is begun there within a second, whatever else is under way on the copy.
    FenceAtOnce = "fence-at-once",
    /// Where nothing is amiss, a standby that streams is waited for and named as the candidate within 2.5 seconds, whatever run
    /// goes on; two seconds later where the writer's agent still has something of an older run under way.
    CandidateComesBack = "candidate-comes-back",
    /// Every run ends or waits for a person.
    RunsEnd = "runs-end",
    /// Nothing of ours breaks down.
    NoPanic = "no-panic",
}

/// A law was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// By what.
    pub what: String,
    /// When, in nanoseconds of virtual time.
    pub at_ns: u64,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { law, what, at_ns } = self;
        write!(f, "{} at {:.6} s: {what}", law.name(), *at_ns as f64 / 1e9)
    }
}

/// What really happened.
#[derive(Debug, Default)]
pub(crate) struct Laws {
    pub(crate) broken: Option<Broken>,
    /// Broken where the guarantee does not hold, as its documentation says: not counted.
    pub(crate) excused: u64,
    /// The newest promotion: its timeline and region.
    pub(crate) reign: (u32, Option<Place>),
    /// Where a promotion has begun: from then on the old side is the old side.
    pub(crate) heir: Option<Place>,
    /// Acknowledged writes, by the copy that decided it.
    pub(crate) acknowledged: Vec<(u32, Place)>,
    /// When each region's copy took its sentinels.
    pub(crate) sentinels: [Vec<Nanos>; 5],
    /// Kept before a rewind.
    pub(crate) kept: BTreeSet<u32>,
    /// On a disk that an excused loss threw away.
    pub(crate) written_off: BTreeSet<u32>,
    /// Until when each region's agent believes in its lease, in true time.
    pub(crate) believes_until: [Nanos; 5],
    /// Until when each region's lease was granted at the most, in true time.
    pub(crate) granted_until: [Nanos; 5],
    /// The newest run number that has applied an effect at each place.
    pub(crate) newest: BTreeMap<Place, u64>,
    /// Fences of runs that have reached an agent and were not begun: where, the task, its key, since when.
    pub(crate) fences: Vec<Ordered>,
    /// Those that were begun, whatever became of them.
    pub(crate) begun_fences: BTreeSet<EffectKey>,
    /// Since when a writer that could have a candidate has none, and nothing is amiss.
    pub(crate) unopposed_since: Option<Nanos>,
    /// Since then something of an older run was under way beside it.
    pub(crate) held_up: bool,
    /// Effects under way: where, and of which epoch.
    pub(crate) under_way: BTreeMap<EffectKey, (Place, Epoch)>,
    /// How often each thing that may not be repeated was done.
    pub(crate) done: BTreeMap<String, u32>,
}

/// A fence that a run has ordered.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    pub(crate) place: Place,
    pub(crate) task: String,
    pub(crate) key: EffectKey,
    pub(crate) since: Nanos,
}

impl Laws {
    pub(crate) fn broke(&mut self, law: Law, at_ns: Nanos, what: String) {
        if self.broken.is_none() {
            self.broken = Some(Broken { law, what, at_ns });
        }
    }
}

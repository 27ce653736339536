//! Planted bugs: mistakes that code like ours has been seen to make, put in by the world or by a wrapper around the real
//! code, never by a switch inside of it. Each must be found within 10,000 seeds, or the simulation proves nothing.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $bug:ident = $name:literal,)+) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $($(#[doc = $doc])+ $bug,)+ }

        impl Bug {
            /// Every one.
            pub const ALL: &'static [Bug] = &[$(Bug::$bug,)+];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name,)+ }
            }

            /// What is done wrong.
            pub fn what(self) -> &'static str {
                match self { $(Bug::$bug => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

bugs! {
    /// An agent promotes without looking at its lease.
    NoLeaseCheck = "no-lease-check",
    /// An agent carries out orders whatever epoch they have.
    StaleEpoch = "stale-epoch",
    /// A step of the wall clock moves the clock that leases are counted on.
    ClockStep = "clock-step",
    /// The granter's clock runs three times too fast, so leases are called lapsed early.
    EarlyLapse = "early-lapse",
    /// A controller that starts does not wait out the leases of the one before.
    NoWaitAtStart = "no-wait-at-start",
    /// The controller renews a region's lease after it was revoked.
    GrantAfterRevoke = "grant-after-revoke",
    /// The holder believes in a lease that is twice as long as it was granted.
    LongLease = "long-lease",
    /// A fence says proven and leaves the server running.
    FenceLies = "fence-lies",
    /// The journal takes a record whose number is taken, and the newer one counts; and a leader whose lead is over does not
    /// know it.
    JournalOverwrites = "journal-overwrites",
    /// The journal says that a record is durable before it is, and a crash loses it.
    ForgetsIntent = "forgets-intent",
    /// An unknown outcome is taken for "nothing changed" and tried again under a new key, also what may not be repeated.
    BlindRetry = "blind-retry",
    /// The guard's memory of epochs and keys is gone after a restart.
    GuardForgets = "guard-forgets",
    /// A name is withdrawn before it is published anew.
    NameWithdrawn = "name-withdrawn",
    /// The gate is told to confirm for a lease longer than the lease.
    GateOutlivesLease = "gate-outlives-lease",
    /// The server goes on believing a gate that was silent, as it does with its own default.
    SilentGateBelieved = "silent-gate-believed",
    /// The gate confirms by a clock that it read once, at its last order.
    GateNeverLooks = "gate-never-looks",
    /// The gate does not close when the candidate is older than the RPO, where it should.
    NoGovernor = "no-governor",
    /// A candidate is admitted before the writer waits for it.
    EarlyAdmission = "early-admission",
    /// The candidate is called proven although it lacks what was acknowledged before.
    UnprovenCandidate = "unproven-candidate",
    /// The writer waits for nobody, and says that it waits.
    WaitsInNameOnly = "waits-in-name-only",
    /// The promotion takes what has not arrived yet for received.
    EarlyPromotion = "early-promotion",
    /// A leader whose lead is over does not know it.
    LeadOutlived = "lead-outlived",
    /// An agent obeys a controller of an older term, which does not know that its lead is over.
    OldTermObeyed = "old-term-obeyed",
    /// The store looks at the condition of a write and ignores it.
    StoreIgnoresVersions = "store-ignores-versions",
    /// A lost answer of an agent is taken for done.
    LostIsDone = "lost-is-done",
    /// A rescue bundle is called whole and holds nothing.
    CaptureLies = "capture-lies",
    /// The controller does not hear what agents have heard of the store: an old copy of it is taken for the newest.
    StoreBehindUnnoticed = "store-behind-unnoticed",
    /// A run's fence waits at the agent until the copy's turn is free.
    FenceWaitsItsTurn = "fence-waits-its-turn",
    /// No candidate is admitted as long as a run holds the unit.
    SettledIgnored = "settled-ignored",
    /// The fence of a run that a newer one has overtaken is done once more.
    OvertakenFenceAgain = "overtaken-fence-again",
    /// A promotion that was called off while it waited at the guard begins all the same.
    LatePromotion = "late-promotion",
}

impl Bug {
    /// A leader that was stopped believes, when it goes on, that no time has passed.
    pub(crate) fn leads_on(self) -> bool {
        matches!(self, Bug::LeadOutlived | Bug::OldTermObeyed | Bug::JournalOverwrites)
    }

    /// The bug of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|b| b.name() == name)
    }
}

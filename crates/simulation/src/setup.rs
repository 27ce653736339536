//! What kind of installation a world has: its guarantee, and how many controllers share its store.

use crate::chance::Chance;
use crate::fault::Rare;
use pilotlight_core::plan::{BeyondRpo, Guarantee, Plan};
use std::sync::{Arc, LazyLock};

/// The only unit of every world's plan: named like the application.
pub(crate) const UNIT: &str = "payments";

/// What "one writer" rests on in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// `guarantee: best-effort`.
    BestEffort,
    /// `guarantee: bounded`, `beyond_rpo: expose`.
    Bounded,
    /// `guarantee: bounded`, `beyond_rpo: stall`.
    Governed,
    /// `guarantee: strict`.
    Strict,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// The guarantee.
    pub promise: Promise,
    /// Two controllers share the store, and one of them leads.
    pub several: bool,
    /// Everything begins with the world; else it has run for long.
    pub fresh: bool,
    /// How often leases are renewed.
    pub pace: Pace,
    /// Runs go on for long after everything is verified.
    pub lasting: bool,
    /// `bounded` with an RPO of little more than a lease: a candidate that is away is withdrawn soon.
    pub brief: bool,
}

/// How often leases of a second are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// Each sixth of the lease, as where the plan does not say.
    Default,
    /// Each quarter.
    Quarter,
    /// As rarely as the laws of a plan nearly allow.
    Slow,
}

impl Pace {
    const ALL: [Pace; 3] = [Pace::Default, Pace::Quarter, Pace::Slow];

    fn renew(self) -> &'static str {
        match self {
            Pace::Default => "",
            Pace::Quarter => "renew: 250ms",
            Pace::Slow => "renew: 400ms",
        }
    }
}

impl Promise {
    /// Every one.
    pub const ALL: [Promise; 4] = [Promise::BestEffort, Promise::Bounded, Promise::Governed, Promise::Strict];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Promise::BestEffort => "best-effort",
            Promise::Bounded => "bounded",
            Promise::Governed => "bounded-stall",
            Promise::Strict => "strict",
        }
    }

    fn keys(self) -> &'static str {
        match self {
            Promise::BestEffort => "guarantee: best-effort",
            Promise::Bounded => "guarantee: bounded",
            Promise::Governed => "guarantee: bounded\n  beyond_rpo: stall",
            Promise::Strict => "guarantee: strict",
        }
    }
}

impl Setup {
    /// The setup of a seed.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 4);
        let promise = match chance.between(0, 100) {
            0..=29 => Promise::BestEffort,
            30..=64 => Promise::Bounded,
            65..=79 => Promise::Governed,
            _ => Promise::Strict,
        };
        let (several, fresh) = (chance.per_cent(40), chance.per_cent(12));
        let pace = match chance.between(0, 100) {
            0..=14 => Pace::Default,
            15..=39 => Pace::Quarter,
            _ => Pace::Slow,
        };
        // A stream of its own: every other choice of a seed stays as it is.
        let lasting = Chance::new(seed, 5).per_cent(20) || Rare::of(seed) == Rare::Overtaken;
        let brief = Chance::new(seed, 7).per_cent(15) || Rare::of(seed) == Rare::PutBackWithdrawn;
        Self { promise, several, fresh, pace, lasting, brief }
    }

    /// Its plan.
    pub(crate) fn plan(self) -> Arc<Plan> {
        let brief = usize::from(self.brief && self.promise == Promise::Bounded);
        let at = (self.promise as usize * 2 + usize::from(self.several)) * Pace::ALL.len() + self.pace as usize;
        PLANS[brief][at].clone()
    }
}

static PLANS: LazyLock<[Vec<Arc<Plan>>; 2]> = LazyLock::new(|| [false, true].map(plans));

fn plans(brief: bool) -> Vec<Arc<Plan>> {
    let setups = Promise::ALL.into_iter().flat_map(|promise| [false, true].map(|several| (promise, several))).flat_map(
        |(promise, several)| Pace::ALL.map(|pace| Setup { promise, several, fresh: true, pace, lasting: false, brief }),
    );
    setups.map(|setup| Arc::new(read(setup))).collect()
}

/// The only one; two that share a store.
const CONTROLLERS: [&str; 2] = [
    "listen: 127.0.0.1:7400\n  state: state/controller",
    "members: { a: { listen: \"127.0.0.1:7401\" }, b: { listen: \"127.0.0.1:7402\" } }\n  store: { folder: shared }",
];

fn read(setup: Setup) -> Plan {
    let text = include_str!("plan.yaml").replace("CONTROLLERS", CONTROLLERS[usize::from(setup.several)]);
    let text = text.replace("RENEW", setup.pace.renew());
    let rpo = match setup.promise {
        Promise::Governed => "1s",
        Promise::Bounded if setup.brief => "1500ms",
        _ => "60s",
    };
    let text = text.replace("GUARANTEE", setup.promise.keys()).replace("RPO", rpo);
    let plan = Plan::read(&text, "plan.yaml").expect("the plan has no fault");
    debug_assert!(match setup.promise {
        Promise::Governed => plan.policy.beyond_rpo == BeyondRpo::Stall,
        Promise::Strict => plan.policy.guarantee == Guarantee::Strict,
        _ => true,
    });
    plan
}

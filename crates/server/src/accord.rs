//! Under which plans agents run, and what the controller lets go on while one of them is another than its own.
//!
//! A change of the plan reaches one process after the other. Until all have it, agent and controller may rest on different
//! promises: an agent that believes in a gate does not fence, a controller that knows of none waits for no candidate. So
//! while the accord ([`pilotlight_core::plan::Accord`]) of an agent differs, no move that rests on it starts, a run leads no
//! unit there, it admits nobody, and no unit is entered. A writer that is there stays: its lease is renewed.
//!
//! An agent of a version that says nothing of its plan may agree or not: nothing moves by itself that rests on it, a person
//! may move. One that was never heard says nothing either, but its silence is no sign of another plan.

use crate::api::Refusal;
use crate::api::view::PlanStatus;
use axum::http::StatusCode;
use pilotlight_core::code::{self, Code};
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::{Accord, Difference, Plan};
use pilotlight_core::shared::Shared;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module.
pub(crate) struct Accords {
    ours: Accord,
    said: Mutex<BTreeMap<Region, Said>>,
}

/// What an agent said last.
struct Said {
    accord: Option<Shared<Accord>>,
    differs: Vec<Difference>,
}

/// Why a move that rests on an agent does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Apart {
    #[error(
        "the agent of {region} runs under another plan (digest {agent}, the controller's {controller}): {}",
        differs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Differs { region: Region, agent: String, controller: String, differs: Vec<Difference> },
    #[error("the agent of {region} is of an older version and does not say under which plan it runs")]
    Unsaid { region: Region },
}

impl Accords {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { ours: Accord::of(plan), said: Mutex::default() }
    }

    fn said(&self) -> MutexGuard<'_, BTreeMap<Region, Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent is heard. What is news is logged.
    pub(crate) fn heard(&self, region: &Region, accord: Option<Shared<Accord>>) {
        let mut all = self.said();
        if all.get(region).is_some_and(|said| said.accord == accord) {
            return;
        }
        let differs = accord.as_ref().map(|theirs| self.ours.against(theirs)).unwrap_or_default();
        for difference in &differs {
            tracing::warn!(%region, "{}: another plan: {difference}", code::PLANS_DIFFER);
        }
        if accord.is_none() {
            tracing::warn!(%region, "{}: the agent does not say under which plan it runs", code::AGENT_OLD);
        }
        all.insert(region.clone(), Said { accord, differs });
    }

    /// The region's agent was heard, and what the unit rests on is another there.
    pub(crate) fn differs(&self, region: &Region, unit: &Unit) -> bool {
        self.said().get(region).is_some_and(|said| said.differs.iter().any(|d| d.concerns(unit)))
    }

    /// Why nothing that rests on the region's agent moves the unit; an older agent bars only what nobody asked for.
    pub(crate) fn apart(&self, region: &Region, unit: &Unit, automatic: bool) -> Option<Apart> {
        let all = self.said();
        let said = all.get(region)?;
        let Some(accord) = &said.accord else {
            return automatic.then(|| Apart::Unsaid { region: region.clone() });
        };
        let differs: Vec<Difference> = said.differs.iter().filter(|d| d.concerns(unit)).cloned().collect();
        let (agent, controller) = (accord.digest(), self.ours.digest());
        let (region, some) = (region.clone(), !differs.is_empty());
        some.then_some(Apart::Differs { region, agent, controller, differs })
    }

    /// For people; `None` of an agent that was not heard.
    pub(crate) fn status(&self, region: &Region) -> Option<PlanStatus> {
        self.said().get(region).map(|said| PlanStatus {
            controller: self.ours.digest(),
            agent: said.accord.as_ref().map(|accord| accord.digest()),
            differs: said.differs.clone(),
        })
    }
}

impl Apart {
    fn code(&self) -> Code {
        match self {
            Apart::Differs { .. } => code::PLANS_DIFFER,
            Apart::Unsaid { .. } => code::AGENT_OLD,
        }
    }

    fn hint(&self) -> String {
        match self {
            Apart::Differs { region, .. } => {
                format!("give {region} and the controller the same plan, and restart whichever has the old one")
            }
            Apart::Unsaid { region } => {
                format!("update the agent of {region}; a move that a person asks for is started")
            }
        }
    }
}

impl From<&Apart> for Refusal {
    fn from(apart: &Apart) -> Self {
        Self::new(StatusCode::CONFLICT, apart.code().as_str(), apart.to_string(), apart.hint())
    }
}

impl From<&Apart> for Finding {
    fn from(apart: &Apart) -> Self {
        let (code, severity) = (apart.code().to_string(), Severity::Blocker);
        Self { code, severity, message: apart.to_string(), hint: apart.hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::{Guarantee, SAMPLE};

    #[test]
    fn an_agent_that_says_nothing_bars_what_nobody_asked_for_and_one_never_heard_bars_nothing() {
        let plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
        let (accords, region) = (Accords::new(&plan), plan.regions[0].clone());
        let unit = (*plan.units().first().unwrap()).clone();
        let apart = |automatic| accords.apart(&region, &unit, automatic).map(|apart| apart.code());
        assert_eq!((apart(true), accords.status(&region)), (None, None));
        accords.heard(&region, None);
        assert_eq!((apart(true), apart(false)), (Some(code::AGENT_OLD), None));
        assert!(!accords.differs(&region, &unit) && accords.status(&region).unwrap().agent.is_none());
        let mut other = plan.clone();
        other.policy.guarantee = Guarantee::Strict;
        accords.heard(&region, Some(Accord::of(&other).into()));
        assert_eq!((apart(true), apart(false)), (Some(code::PLANS_DIFFER), Some(code::PLANS_DIFFER)));
        assert!(accords.differs(&region, &unit) && accords.status(&region).unwrap().differs.len() == 1);
        accords.heard(&region, Some(Accord::of(&plan).into()));
        assert_eq!((apart(true), accords.differs(&region, &unit)), (None, false));
    }
}

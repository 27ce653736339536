//! The dry run: what each step would do, whether it is so already, what stands in its way. Touches nothing.
//!
//! Border: only observes and asks for preflights; both change nothing by the driver contract.

use crate::granter::Granter;
use pilotlight_core::code;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Region, StepId};
use pilotlight_core::observation::{Condition, Holds, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding};
use pilotlight_core::runbook::{Runbook, Step};
use pilotlight_driver::Driver;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What would happen at a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "would", rename_all = "kebab-case")]
pub enum Would {
    /// The effect would be applied.
    Act,
    /// Its end is there already; it would be asked for all the same, and change nothing.
    AlreadySo,
    /// What must be seen before it is not seen now; earlier steps may bring it about.
    WaitFirst {
        #[serde(rename = "because")]
        why: String,
    },
    /// It could not be looked at now.
    NotSeen {
        #[serde(rename = "because")]
        why: String,
    },
}

/// A step of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryStep {
    /// The step.
    pub id: StepId,
    /// What it does.
    pub title: String,
    /// Why it is there.
    pub why: String,
    /// The effect as data.
    pub effect: Effect,
    /// What would happen.
    #[serde(flatten)]
    pub would: Would,
    /// What stands in its way.
    pub findings: Vec<Finding>,
}

/// Looks at every step, in the runbook's order.
pub(crate) async fn dry_run(driver: &dyn Driver, granter: &Granter, runbook: &Runbook) -> Vec<DryStep> {
    let mut steps = Vec::new();
    for step in &runbook.steps {
        let (would, mut findings) = look(driver, granter, step).await;
        // Each thing once: preflight and condition may fail for the same reason.
        let mut told = BTreeSet::new();
        findings.retain(|f| told.insert(f.message.clone()));
        if rejoins_what_is_promoted(step, runbook) {
            findings.retain(|f| f.code != code::UPSTREAM_STANDBY.as_str());
        }
        let (title, why) = (step.title.clone(), step.why.clone());
        steps.push(DryStep { id: step.id.clone(), title, why, effect: step.effect.clone(), would, findings });
    }
    steps
}

/// The copy to follow is a standby now and the writer by then.
fn rejoins_what_is_promoted(step: &Step, runbook: &Runbook) -> bool {
    let Effect::Rejoin { component, upstream, .. } = &step.effect else { return false };
    runbook
        .steps
        .iter()
        .any(|s| matches!(&s.effect, Effect::Promote { component: c, region } if c == component && region == upstream))
}

async fn look(driver: &dyn Driver, granter: &Granter, step: &Step) -> (Would, Vec<Finding>) {
    match &step.effect {
        Effect::AwaitLapse { unit, .. } => {
            let would = match granter.sight(unit) {
                pilotlight_core::lease::LeaseSight::Lapsed => Would::AlreadySo,
                running => Would::WaitFirst { why: running.to_string() },
            };
            return (would, Vec::new());
        }
        Effect::Grant { unit, region } => {
            let named = granter.unit(unit).is_some_and(|u| u.writer.as_ref() == Some(region));
            return (if named { Would::AlreadySo } else { Would::Act }, Vec::new());
        }
        Effect::Soak { component, region, most_bytes, .. } => {
            let target = Target { component: component.clone(), region: Some(region.clone()) };
            return match driver.observe(&target).await {
                Ok(state) => {
                    let would =
                        state.keeps_up(*most_bytes).map_or_else(|why| Would::WaitFirst { why }, |()| Would::Act);
                    (would, Vec::new())
                }
                Err(failure) => (not_seen(&failure), vec![unseen(component.as_str(), Some(region), &failure)]),
            };
        }
        Effect::Shift { roads, shares, .. } => return shift(driver, roads, shares).await,
        _ => {}
    }
    let mut findings = match driver.preflight(&step.effect).await {
        Ok(findings) => findings,
        Err(failure) => {
            let effect = &step.effect;
            let place = effect.component().map_or(step.id.as_str(), |c| c.as_str());
            return (not_seen(&failure), vec![unseen(place, effect.region(), &failure)]);
        }
    };
    let would = conditions(driver, step).await.unwrap_or_else(|(target, failure)| {
        findings.push(unseen(target.component.as_str(), target.region.as_ref(), &failure));
        not_seen(&failure)
    });
    (would, findings)
}

fn unseen(what: &str, region: Option<&Region>, failure: &Failure) -> Finding {
    Finding::unseen(&region.map_or(what.to_owned(), |r| format!("{what} in {r}")), failure)
}

/// What each road would stumble over.
async fn shift(driver: &dyn Driver, roads: &[Component], shares: &BTreeMap<Region, u32>) -> (Would, Vec<Finding>) {
    let mut findings = Vec::new();
    for road in roads {
        match driver.preflight(&Effect::Route { component: road.clone(), shares: shares.clone() }).await {
            Ok(found) => findings.extend(found),
            Err(failure) => {
                findings.push(unseen(road.as_str(), None, &failure));
                return (not_seen(&failure), findings);
            }
        }
    }
    (Would::Act, findings)
}

/// Fails with what could not be looked at.
async fn conditions(driver: &dyn Driver, step: &Step) -> Result<Would, (Target, Failure)> {
    if let Some(after) = &step.after
        && let Ok(Holds::Yes) = see(driver, after).await
    {
        return Ok(Would::AlreadySo);
    }
    let Some(before) = &step.before else { return Ok(Would::Act) };
    Ok(match see(driver, before).await.map_err(|e| (before.target().clone(), e))? {
        Holds::Yes => Would::Act,
        Holds::No(why) | Holds::Unknown(why) => Would::WaitFirst { why },
    })
}

async fn see(driver: &dyn Driver, condition: &Condition) -> Result<Holds, Failure> {
    driver.observe(condition.target()).await.map(|state| condition.holds(&state))
}

fn not_seen(failure: &Failure) -> Would {
    let why = match failure.kind {
        FailureKind::Unsupported => format!("it cannot be done: {}", failure.message),
        _ => failure.message.clone(),
    };
    Would::NotSeen { why }
}

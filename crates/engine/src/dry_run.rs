//! The dry run: what each step would do, whether it is so already, what stands in its way. Touches nothing.
//!
//! Border: only observes and asks for preflights; both change nothing by the driver contract.

use crate::granter::Granter;
use pilotlight_core::code;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::StepId;
use pilotlight_core::observation::{Condition, Holds};
use pilotlight_core::outcome::{Failure, FailureKind, Finding};
use pilotlight_core::runbook::{Runbook, Step};
use pilotlight_driver::Driver;
use serde::{Deserialize, Serialize};

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
        _ => {}
    }
    let findings = match driver.preflight(&step.effect).await {
        Ok(findings) => findings,
        Err(failure) => return (not_seen(&failure), Vec::new()),
    };
    (conditions(driver, step).await, findings)
}

async fn conditions(driver: &dyn Driver, step: &Step) -> Would {
    if let Some(after) = &step.after
        && let Ok(Holds::Yes) = see(driver, after).await
    {
        return Would::AlreadySo;
    }
    match &step.before {
        None => Would::Act,
        Some(before) => match see(driver, before).await {
            Ok(Holds::Yes) => Would::Act,
            Ok(Holds::No(why) | Holds::Unknown(why)) => Would::WaitFirst { why },
            Err(failure) => not_seen(&failure),
        },
    }
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

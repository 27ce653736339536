//! The runbook of an apply: one step, so that who applied what, when and with which outcome stands in the journal, a crash
//! between sending and hearing is an outcome that is looked after, and nothing else moves the unit meanwhile. A failover that
//! becomes necessary ends it.

use super::draft::{Say, step};
use super::limits;
use crate::effect::Effect;
use crate::id::{Application, BundleId, Component, Region, Unit};
use crate::placement::{Intent, Mode, Placement, Verb};
use crate::runbook::{OnFailure, Phase, Runbook};

/// What is applied, and where.
#[derive(Debug, Clone)]
pub struct Rescue {
    /// What is recovered.
    pub application: Application,
    /// The unit of the component.
    pub unit: Unit,
    /// Whose changes they are.
    pub component: Component,
    /// Where the bundle lies.
    pub region: Region,
    /// The bundle.
    pub bundle: BundleId,
    /// Where the writer is.
    pub writer: Region,
    /// Who applies it.
    pub by: String,
}

/// The runbook that applies a bundle. A failure ends it: what was applied is noted on the writer, and applying it again does
/// nothing twice.
pub fn apply_rescue(rescue: Rescue) -> Runbook {
    let Rescue { application, unit, component, region, bundle, writer, by } = rescue;
    let title = format!("apply what {bundle} holds to {component} in {writer}");
    let why = format!("{by} wants back what {region} had acknowledged and never sent");
    let id = format!("apply-{component}-{region}");
    let effect = Effect::ApplyRescue { component, region, upstream: writer.clone(), bundle, by };
    let step = step(id, Phase::Rejoin, effect, limits::APPLY_RESCUE).say(title, why).else_do(OnFailure::Undo);
    let target = Placement::in_region(&writer);
    let intent = Intent { unit, verb: Verb::Rescue, mode: Mode::Graceful, target };
    Runbook { application, intent, from: writer, steps: vec![step], basis: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_step_that_a_failover_need_not_wait_for() {
        let rescue = Rescue {
            application: "shop".into(),
            unit: "shop".into(),
            component: "db".into(),
            region: "east".into(),
            bundle: BundleId::new("db-east-1"),
            writer: "west".into(),
            by: "ada".to_owned(),
        };
        let runbook = apply_rescue(rescue);
        runbook.validate().expect("sound");
        let [step] = runbook.steps.as_slice() else { panic!("{runbook:?}") };
        assert!(step.effect.keeps_writer(&runbook.from) && step.effect.is_idempotent());
        assert!(runbook.stays() && !runbook.intent.verb.moves());
        assert_eq!(runbook.told(), "rescue, the writer stays in west");
    }
}

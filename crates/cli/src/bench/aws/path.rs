//! What the provider's phases alone would have taken: the longest way through the runbook, each step as long as the phases
//! that the server recorded of it.
//!
//! Not the time in which any phase went on: a change that we made late, although nothing stood before it, would be hidden
//! in that.

use pilotlight_core::id::StepId;
use pilotlight_core::run::StepView;
use pilotlight_core::time::Wall;
use std::collections::BTreeMap;
use std::time::Duration;

/// A phase as the server recorded it, in real time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Phase {
    /// Of what, for example `ecs:web`.
    pub(super) of: String,
    /// When the change was accepted.
    pub(super) began: Wall,
    /// How long it went on.
    pub(super) long: Duration,
}

/// The longest way. `names` is what the server calls each component.
pub(super) fn critical_path(steps: &[StepView], phases: &[Phase], names: &BTreeMap<String, String>) -> Duration {
    let mut ends: BTreeMap<&StepId, Duration> = BTreeMap::new();
    // A step whose needs are not reckoned yet is left for the next round; a runbook has no circle.
    while ends.len() < steps.len() {
        let known = ends.len();
        for step in steps {
            let before: Option<Vec<Duration>> = step.needs.iter().map(|need| ends.get(need).copied()).collect();
            let Some(before) = before else { continue };
            let begins = before.into_iter().max().unwrap_or_default();
            ends.insert(&step.id, begins + of_step(step, phases, names));
        }
        if ends.len() == known {
            break;
        }
    }
    ends.into_values().max().unwrap_or_default()
}

/// Phases of its component that were accepted while it was under way, one after the other.
fn of_step(step: &StepView, phases: &[Phase], names: &BTreeMap<String, String>) -> Duration {
    let Some(name) = step.effect.component().and_then(|c| names.get(c.as_str())) else { return Duration::ZERO };
    let (Some(started), Some(ended)) = (step.started, step.ended) else { return Duration::ZERO };
    let during = |p: &&Phase| &p.of == name && started <= p.began && p.began <= ended;
    phases.iter().filter(during).map(|p| p.long).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::effect::Effect;
    use pilotlight_core::run::StepStatus;
    use pilotlight_core::runbook;

    fn step(id: &str, component: &str, needs: &[&str], from: u64, to: u64) -> StepView {
        StepView {
            id: id.into(),
            title: String::new(),
            why: String::new(),
            phase: runbook::Phase::Promote,
            needs: needs.iter().map(|n| StepId::from(*n)).collect(),
            effect: Effect::Promote { component: component.into(), region: "west".into() },
            status: StepStatus::Done,
            attempts: 1,
            approved: None,
            started: Some(Wall(from)),
            ended: Some(Wall(to)),
            note: None,
            failure: None,
            output: None,
        }
    }

    fn phase(of: &str, began: u64, seconds: u64) -> Phase {
        Phase { of: of.to_owned(), began: Wall(began), long: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_longest_way_counts_and_not_when_we_began() {
        let names = ["database", "web", "name"].map(|n| (n.to_owned(), format!("x:{n}"))).into();
        let steps = vec![
            step("route", "name", &["switch", "scale"], 20_000, 60_000),
            step("switch", "database", &[], 0, 7_000),
            // It began ten seconds late, and nothing stood before it: that is ours.
            step("scale", "web", &[], 10_000, 20_000),
        ];
        let phases = [phase("x:database", 100, 6), phase("x:web", 10_100, 9), phase("x:name", 20_100, 3)];
        assert_eq!(critical_path(&steps, &phases, &names), Duration::from_secs(12));
        // What was accepted outside of the step is not of it.
        let early = [phase("x:web", 5_000, 50)];
        assert_eq!(critical_path(&steps, &early, &names), Duration::ZERO);
    }
}

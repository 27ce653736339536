//! The runbook as a graph: is it sound, in which order can it go, what is its longest way.

use super::{OnFailure, Runbook, Step};
use crate::effect::{Effect, HandOver};
use crate::id::StepId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Why a graph cannot be walked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// Nothing to do.
    #[error("the runbook has no step")]
    Empty,
    /// Two steps with one name.
    #[error("the step id {id} is used twice")]
    Twice { id: StepId },
    /// A need that is not there.
    #[error("step {id} needs {need}, which is not in the runbook")]
    UnknownNeed { id: StepId, need: StepId },
    /// A circle.
    #[error("the steps {} wait for each other", show(steps))]
    Circle { steps: Vec<StepId> },
    /// A hand-over from a step that is not finished by then.
    #[error("step {id} takes the position of {from}, but does not need it to be done")]
    UnorderedHandOver { id: StepId, from: StepId },
    /// Traffic to nowhere.
    #[error("step {id} would lead traffic to no region at all")]
    RouteToNowhere { id: StepId },
    /// An undo that cannot be, because something final comes before it.
    #[error("step {id} would undo the run, but {after} comes before it and cannot be taken back")]
    UndoTooLate { id: StepId, after: StepId },
}

fn show(steps: &[StepId]) -> String {
    steps.iter().map(StepId::as_str).collect::<Vec<_>>().join(", ")
}

impl Runbook {
    /// Ids unique, needs known, no circle, hand-overs ordered, routes not empty, undo only where there is a way back.
    pub fn validate(&self) -> Result<(), Unsound> {
        if self.steps.is_empty() {
            return Err(Unsound::Empty);
        }
        let mut ids = BTreeSet::new();
        for step in &self.steps {
            if !ids.insert(&step.id) {
                return Err(Unsound::Twice { id: step.id.clone() });
            }
        }
        for step in &self.steps {
            if let Some(need) = step.needs.iter().find(|n| !ids.contains(n)) {
                return Err(Unsound::UnknownNeed { id: step.id.clone(), need: need.clone() });
            }
        }
        self.levels()?;
        self.steps.iter().try_for_each(|step| self.validate_step(step))
    }

    fn validate_step(&self, step: &Step) -> Result<(), Unsound> {
        let id = step.id.clone();
        if let Effect::AwaitPosition { position: HandOver::From(from), .. } = &step.effect
            && !self.before(&step.id).contains(from)
        {
            return Err(Unsound::UnorderedHandOver { id, from: from.clone() });
        }
        if let Effect::Route { shares, .. } | Effect::Shift { shares, .. } = &step.effect
            && shares.values().all(|share| *share == 0)
        {
            return Err(Unsound::RouteToNowhere { id });
        }
        // Walking back through the graph costs too much to do it for each of a thousand steps that need no answer.
        let is_final = |s: &&Step| s.effect.is_point_of_no_return();
        if step.on_failure != OnFailure::Undo || !self.steps.iter().any(|s| is_final(&s)) {
            return Ok(());
        }
        let before = self.before(&step.id);
        match self.steps.iter().filter(is_final).find(|s| before.contains(&s.id)) {
            Some(after) => Err(Unsound::UndoTooLate { id, after: after.id.clone() }),
            None => Ok(()),
        }
    }

    /// The steps in waves: each wave needs only earlier ones. Within a wave the order of the runbook is kept.
    pub fn levels(&self) -> Result<Vec<Vec<&Step>>, Unsound> {
        let mut done: BTreeSet<&StepId> = BTreeSet::new();
        let mut left: Vec<&Step> = self.steps.iter().collect();
        let mut levels = Vec::new();
        while !left.is_empty() {
            let (ready, waiting): (Vec<&Step>, Vec<&Step>) =
                left.into_iter().partition(|s| s.needs.iter().all(|n| done.contains(n)));
            if ready.is_empty() {
                return Err(Unsound::Circle { steps: waiting.into_iter().map(|s| s.id.clone()).collect() });
            }
            done.extend(ready.iter().map(|s| &s.id));
            levels.push(ready);
            left = waiting;
        }
        Ok(levels)
    }

    /// Every step that must be over before this one starts, near and far.
    pub fn before(&self, id: &StepId) -> BTreeSet<&StepId> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&StepId> = self.step(id).map(|s| s.needs.iter().collect()).unwrap_or_default();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.step(next).map(|s| s.needs.iter()).into_iter().flatten());
            }
        }
        found
    }

    /// The longest way through the graph by what each step takes, and its length. Empty for a graph with a circle.
    pub fn critical_path(&self, takes: impl Fn(&Step) -> Duration) -> (Vec<&Step>, Duration) {
        let Ok(levels) = self.levels() else { return (Vec::new(), Duration::ZERO) };
        let mut ends: BTreeMap<&StepId, (Duration, Option<&Step>)> = BTreeMap::new();
        for step in levels.into_iter().flatten() {
            let ended = |id: &StepId| ends.get(id).map_or(Duration::ZERO, |(end, _)| *end);
            let last = step.needs.iter().max_by_key(|n| ended(n)).and_then(|n| self.step(n));
            let start = last.map_or(Duration::ZERO, |s| ended(&s.id));
            ends.insert(&step.id, (start + takes(step), last));
        }
        let mut path = Vec::new();
        let mut at = self.steps.iter().max_by_key(|s| ends[&s.id].0);
        let length = at.map_or(Duration::ZERO, |s| ends[&s.id].0);
        while let Some(step) = at {
            path.push(step);
            at = ends[&step.id].1;
        }
        path.reverse();
        (path, length)
    }
}

#[cfg(test)]
mod tests;

//! The state of a run: the sum of its records.
//!
//! Invariant: [`RunState::apply`] is total. It either accepts a record or leaves the state as it was and says why.

use super::phase::{self, Place};
use super::{Approval, Cause, Event, Illegal, Phase, Record, Returned, RunResult};
use crate::effect::{Effect, HandOver};
use crate::id::{Epoch, RunId, StepId, Unit};
use crate::outcome::{Failure, FailureKind, Outcome, Output};
use crate::runbook::{OnFailure, Runbook, Step};
use crate::time::Wall;
use std::collections::{BTreeSet, HashMap};

/// What is known of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepState {
    pub phase: Phase,
    /// Attempts made.
    pub attempts: u32,
    /// Attempts made before a person let it try anew; they do not count against the retries.
    pub forgiven: u32,
    /// It may have changed something.
    pub touched: bool,
    /// Once nobody knew what an attempt had changed.
    pub uncertain: bool,
    pub approved: Option<Approval>,
    pub output: Option<Output>,
    pub already: Option<String>,
    pub warning: Option<String>,
    pub failure: Option<Failure>,
    pub started: Option<Wall>,
    pub ended: Option<Wall>,
}

/// The graph with numbers instead of names, so that a record costs the same in a long runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Graph {
    index: HashMap<StepId, usize>,
    needed_by: Vec<Vec<usize>>,
    no_return: Vec<usize>,
    hands_over: BTreeSet<usize>,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    pub(super) run: RunId,
    pub(super) unit: Unit,
    pub(super) epoch: Epoch,
    pub(super) runbook: Runbook,
    pub(super) cause: Cause,
    pub(super) started: Wall,
    seq: u64,
    graph: Graph,
    pub(super) steps: Vec<StepState>,
    unmet: Vec<usize>,
    /// Not settled, and nothing they need is missing.
    open: BTreeSet<usize>,
    held: BTreeSet<usize>,
    unsettled: usize,
    pub(super) order: Vec<usize>,
    pub(super) paused: Option<(String, String)>,
    pub(super) abort: Option<String>,
    /// Why its reason is gone.
    pub(super) withdrawn: Option<String>,
    /// Its records may lack what was done.
    overtaken: bool,
    undo_after: Option<usize>,
    pub(super) ended: Option<(RunResult, Wall)>,
}

impl RunState {
    /// The state after the first record, which must be [`Event::RunStarted`].
    pub fn begin(record: &Record) -> Result<Self, Illegal> {
        let refuse = |why: String| Illegal { event: record.event.name(), step: None, why };
        let Event::RunStarted { run, unit, epoch, runbook, cause } = &record.event else {
            return Err(refuse("a run begins with run-started".to_owned()));
        };
        if record.seq != 1 {
            return Err(refuse(format!("the first record has number 1, not {}", record.seq)));
        }
        let graph = Graph::of(runbook).map_err(refuse)?;
        let unmet: Vec<usize> = runbook.steps.iter().map(|s| s.needs.iter().collect::<BTreeSet<_>>().len()).collect();
        let blank = StepState {
            phase: Phase::Waiting,
            attempts: 0,
            forgiven: 0,
            touched: false,
            uncertain: false,
            approved: None,
            output: None,
            already: None,
            warning: None,
            failure: None,
            started: None,
            ended: None,
        };
        Ok(Self {
            run: run.clone(),
            unit: unit.clone(),
            epoch: *epoch,
            cause: cause.clone(),
            started: record.at,
            seq: 1,
            steps: vec![blank; runbook.steps.len()],
            open: (0..unmet.len()).filter(|i| unmet[*i] == 0).collect(),
            held: BTreeSet::new(),
            unsettled: unmet.len(),
            unmet,
            order: Vec::new(),
            graph,
            runbook: (**runbook).clone(),
            paused: None,
            abort: None,
            withdrawn: None,
            overtaken: false,
            undo_after: None,
            ended: None,
        })
    }

    /// The state after all these records.
    pub fn replay<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Self, Illegal> {
        let mut records = records.into_iter();
        let Some(first) = records.next() else {
            return Err(Illegal { event: "run-started", step: None, why: "there is no record".to_owned() });
        };
        let mut state = Self::begin(first)?;
        for record in records {
            state.apply(record)?;
        }
        Ok(state)
    }

    /// Takes the next record in, or leaves everything as it was.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        let event = &record.event;
        let refuse = |why: &str| Illegal { event: event.name(), step: event.step().cloned(), why: why.to_owned() };
        if record.seq != self.seq + 1 {
            return Err(refuse(&format!("record {} cannot follow record {}", record.seq, self.seq)));
        }
        if self.ended.is_some() {
            return Err(refuse("the run has ended"));
        }
        match event {
            Event::RunStarted { .. } => return Err(refuse("the run has started")),
            Event::Recovered { .. } => self.every_step(event, record.at),
            Event::Paused { by, why } if self.paused.is_none() => self.paused = Some((by.clone(), why.clone())),
            Event::Paused { .. } => return Err(refuse("the run is paused already")),
            Event::Resumed { .. } if self.is_paused() => self.resume(event, record.at),
            Event::Resumed { .. } => return Err(refuse("the run is not paused")),
            Event::AbortAsked { by } if self.abort.is_none() => {
                self.abort = Some(by.clone());
                self.paused = None;
            }
            Event::AbortAsked { .. } => return Err(refuse(self.why_not_ended_again())),
            Event::Withdrawn { .. } if self.is_unwinding() => return Err(refuse("the run is being ended already")),
            Event::Withdrawn { .. } if self.has_begun() => return Err(refuse("a step has begun")),
            Event::Withdrawn { why, .. } => {
                self.withdrawn = Some(why.clone());
                self.paused = None;
            }
            Event::Overtaken { .. } if !self.overtaken => self.overtaken = true,
            Event::Overtaken { .. } => return Err(refuse("it is known already")),
            Event::RunEnded { result } if self.end() == Some(*result) => self.ended = Some((*result, record.at)),
            Event::RunEnded { .. } => return Err(refuse("the run is not at that end")),
            _ => {
                let step = event.step().and_then(|s| self.graph.index.get(s)).copied();
                let step = step.ok_or_else(|| refuse("the runbook has no such step"))?;
                let Some(to) = self.next_phase(step, event) else {
                    return Err(refuse(&format!("the step is {}", self.describe(step))));
                };
                self.take_in(step, event, to, record.at);
            }
        }
        self.seq = record.seq;
        Ok(())
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// What it moves.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// What its effects carry.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The graph it walks.
    pub fn runbook(&self) -> &Runbook {
        &self.runbook
    }

    /// Number of the newest record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How and when it ended.
    pub fn ended(&self) -> Option<(RunResult, Wall)> {
        self.ended
    }

    /// Somebody asked for its end.
    pub fn is_aborting(&self) -> bool {
        self.abort.is_some()
    }

    /// Where a step stands.
    pub fn phase(&self, step: &StepId) -> Option<&Phase> {
        self.graph.index.get(step).map(|i| &self.steps[*i].phase)
    }

    /// Where a step stands, with the attempts that count against its retries.
    pub fn view_attempts(&self, step: &StepId) -> Option<(Phase, u32)> {
        let state = self.graph.index.get(step).map(|i| &self.steps[*i])?;
        Some((state.phase.clone(), state.attempts.saturating_sub(state.forgiven)))
    }

    /// Whether a later step waits for a position from this one.
    pub fn hands_over(&self, step: &StepId) -> bool {
        self.graph.index.get(step).is_some_and(|i| self.graph.hands_over.contains(i))
    }

    /// A step with no return may have changed something, was so already, or was passed over by a person who saw it done; or
    /// it may have, and the records do not say so.
    pub fn is_past_return(&self) -> bool {
        let passed =
            |s: &StepState| s.touched || s.already.is_some() || matches!(s.phase, Phase::Done | Phase::Skipped { .. });
        self.overtaken || self.graph.no_return.iter().any(|i| passed(&self.steps[*i]))
    }

    /// Its records may lack what was done.
    pub fn is_overtaken(&self) -> bool {
        self.overtaken
    }

    /// Nothing new starts until a person says so.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some() || self.held().next().is_some()
    }

    /// Steps that wait for a person.
    pub(super) fn held(&self) -> impl Iterator<Item = usize> + '_ {
        let unwinding = self.is_unwinding();
        let undo_only = move |i: &usize| !unwinding || matches!(self.steps[*i].phase, Phase::UndoStuck { .. });
        self.held.iter().copied().filter(undo_only)
    }

    /// No step starts any more; what is done is taken back or left.
    pub(super) fn is_unwinding(&self) -> bool {
        let fails = self.undo_after.is_some() && !self.is_past_return();
        self.abort.is_some() || self.withdrawn.is_some() || fails || (self.overtaken && self.has_undone())
    }

    /// Something was, or may have been, taken back: what came after it may not be done any more.
    fn has_undone(&self) -> bool {
        self.steps.iter().any(|s| s.phase.is_of_an_undo())
    }

    /// What was being taken back stays as it is until a person has looked: nobody knows how far the run got.
    pub(super) fn stands_half_undone(&self) -> bool {
        self.overtaken && self.abort.is_none() && self.has_undone()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.open.iter().copied()
    }

    pub(super) fn is_open(&self, i: usize) -> bool {
        self.open.contains(&i)
    }

    pub(super) fn all_settled(&self) -> bool {
        self.unsettled == 0
    }

    pub(super) fn in_flight(&self) -> bool {
        self.open.iter().any(|i| self.steps[*i].phase.is_in_flight())
    }

    pub(super) fn step(&self, i: usize) -> &Step {
        &self.runbook.steps[i]
    }

    /// Needs met, approved, and nothing holds the run.
    pub(super) fn may_start(&self, i: usize) -> bool {
        self.open.contains(&i)
            && (!self.step(i).approval || self.steps[i].approved.is_some())
            && !self.is_paused()
            && !self.is_unwinding()
            && self.resolved(&self.step(i).effect).is_ok()
    }

    /// Replaces the name of an earlier step by the position it handed over.
    pub(super) fn resolved(&self, effect: &Effect) -> Result<Effect, String> {
        let Effect::AwaitPosition { component, region, position: HandOver::From(from) } = effect else {
            return Ok(effect.clone());
        };
        let output = self.graph.index.get(from).and_then(|i| self.steps[*i].output.as_ref());
        match output.and_then(|o| o.position.clone()) {
            Some(position) => Ok(Effect::AwaitPosition {
                component: component.clone(),
                region: region.clone(),
                position: HandOver::At(position),
            }),
            None => Err(format!("step {from} handed over no position")),
        }
    }

    /// The step to be taken back next: the newest that may have changed something and can be taken back.
    pub(super) fn next_to_undo(&self) -> Option<usize> {
        let open = |i: &usize| {
            self.steps[*i].touched
                && self.step(*i).undo.is_some()
                && !matches!(self.steps[*i].phase, Phase::Undone | Phase::Left { .. })
        };
        self.order.iter().rev().copied().find(open)
    }

    fn next_phase(&self, i: usize, event: &Event) -> Option<Phase> {
        let state = &self.steps[i];
        let may_undo = self.is_unwinding()
            && !self.is_past_return()
            && self.paused.is_none()
            && !self.in_flight()
            && self.next_to_undo() == Some(i);
        let place = Place {
            step: self.step(i),
            phase: &state.phase,
            attempts: state.attempts,
            attempts_counted: state.attempts.saturating_sub(state.forgiven),
            already: state.already.as_deref(),
            may_start: matches!(event, Event::StepStarted { .. }) && self.may_start(i),
            unwinding: self.is_unwinding(),
            may_undo: matches!(event, Event::UndoStarted { .. }) && may_undo,
        };
        phase::next(&place, event)
    }

    /// Applies an event that is about no single step to each step it moves.
    fn every_step(&mut self, event: &Event, at: Wall) {
        for i in 0..self.steps.len() {
            if let Some(to) = self.next_phase(i, event) {
                self.take_in(i, event, to, at);
            }
        }
    }

    fn resume(&mut self, event: &Event, at: Wall) {
        self.paused = None;
        let held: Vec<usize> = self.held().collect();
        for i in held {
            if let Some(to) = self.next_phase(i, event) {
                self.take_in(i, event, to, at);
            }
        }
        if !self.is_unwinding() {
            self.undo_after = None;
        }
    }

    /// Everything that follows from a legal transition besides the phase itself.
    fn take_in(&mut self, i: usize, event: &Event, to: Phase, at: Wall) {
        let undo = self.step(i).on_failure == OnFailure::Undo;
        let has_way_back = self.step(i).undo.is_some();
        let was_settled = self.steps[i].phase.is_settled();
        let state = &mut self.steps[i];
        match event {
            Event::StepStarted { attempt, .. } => {
                state.attempts = *attempt;
                if state.started.is_none() {
                    state.started = Some(at);
                    self.order.push(i);
                }
                state.touched = true;
                state.already = None;
            }
            Event::StepReturned { result, .. } => state.note(result),
            Event::Approved { by, .. } => {
                state.approved = Some(Approval { by: by.clone(), at });
                state.forgiven = state.attempts;
            }
            Event::Resumed { .. } => state.forgiven = state.attempts,
            Event::UndoReturned { result: Err(failure), .. } => state.failure = Some(failure.clone()),
            _ => {}
        }
        // What was begun elsewhere may be half done when it is refused in the end.
        state.uncertain |= to == Phase::Unknown || has_way_back && matches!(to, Phase::Accepted { .. });
        if to.is_settled() || matches!(to, Phase::Failed { .. } | Phase::Undone | Phase::Left { .. }) {
            state.ended = Some(at);
        }
        if matches!(to, Phase::Failed { .. }) && undo {
            self.undo_after = Some(i);
        }
        if to.is_held() {
            self.held.insert(i);
        } else {
            self.held.remove(&i);
        }
        let settles = to.is_settled() && !was_settled;
        self.steps[i].phase = to;
        if settles {
            self.settle(i);
        }
    }

    fn settle(&mut self, i: usize) {
        self.open.remove(&i);
        self.unsettled -= 1;
        if self.undo_after == Some(i) {
            self.undo_after = None;
        }
        for k in 0..self.graph.needed_by[i].len() {
            let dependent = self.graph.needed_by[i][k];
            self.unmet[dependent] -= 1;
            if self.unmet[dependent] == 0 && !self.steps[dependent].phase.is_settled() {
                self.open.insert(dependent);
            }
        }
    }
}

impl Graph {
    /// Refuses what cannot be walked: a name twice, a need that is not there, a circle.
    fn of(runbook: &Runbook) -> Result<Self, String> {
        let mut index = HashMap::new();
        for (i, step) in runbook.steps.iter().enumerate() {
            if index.insert(step.id.clone(), i).is_some() {
                return Err(format!("the runbook has step {} twice", step.id));
            }
        }
        let find = |step: &Step, id: &StepId| {
            index.get(id).copied().ok_or_else(|| format!("step {} names {id}, which is not in the runbook", step.id))
        };
        let mut needed_by = vec![Vec::new(); runbook.steps.len()];
        let mut hands_over = BTreeSet::new();
        for (i, step) in runbook.steps.iter().enumerate() {
            for need in step.needs.iter().collect::<BTreeSet<_>>() {
                needed_by[find(step, need)?].push(i);
            }
            if let Effect::AwaitPosition { position: HandOver::From(from), .. } = &step.effect {
                hands_over.insert(find(step, from)?);
            }
        }
        let no_return = (0..runbook.steps.len()).filter(|i| runbook.steps[*i].effect.is_point_of_no_return()).collect();
        let graph = Self { index, needed_by, no_return, hands_over };
        graph.refuse_circles(runbook)?;
        Ok(graph)
    }

    fn refuse_circles(&self, runbook: &Runbook) -> Result<(), String> {
        let mut unmet: Vec<usize> = vec![0; self.needed_by.len()];
        self.needed_by.iter().flatten().for_each(|i| unmet[*i] += 1);
        let mut ready: Vec<usize> = (0..unmet.len()).filter(|i| unmet[*i] == 0).collect();
        while let Some(i) = ready.pop() {
            for dependent in &self.needed_by[i] {
                unmet[*dependent] -= 1;
                if unmet[*dependent] == 0 {
                    ready.push(*dependent);
                }
            }
        }
        match unmet.iter().position(|n| *n > 0) {
            Some(i) => Err(format!("step {} needs itself by way of others", runbook.steps[i].id)),
            None => Ok(()),
        }
    }
}

impl StepState {
    /// Keeps what came back. A call that changed nothing leaves the step untouched, unless an earlier one may have.
    fn note(&mut self, result: &Returned) {
        match result {
            Ok(Outcome::Skipped { why }) => {
                self.already = Some(why.clone());
                self.touched = self.uncertain;
            }
            Ok(outcome) => {
                self.output = outcome.output().cloned().or(self.output.take());
                if let Outcome::Warned { warning, .. } = outcome {
                    self.warning = Some(warning.clone());
                }
                self.failure = None;
            }
            Err(failure) => {
                self.touched = self.uncertain || failure.kind == FailureKind::OutcomeUnknown;
                self.failure = Some(failure.clone());
            }
        }
    }
}

//! From what was recorded to a [`Report`]: runs, faults and the outside client's log, laid on one axis of time.

use super::moves::{impact, millis, of_run, throughput};
use super::{Event, Guarantee, Impact, Mark, Move, Objective, Report, SCHEMA, lanes};
use pilotlight_core::id::Region;
use pilotlight_core::measure::Sample;
use pilotlight_core::placement::Mode;
use pilotlight_core::plan::{self, Plan};
use pilotlight_core::run::RunView;
use pilotlight_core::time::{Mono, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

const SENT: &str = "First failed request was sent";
/// Cause and effect look exchanged otherwise.
const SENT_BEFORE: &str = "First failed request was sent; it was on its way at the fault";

/// Length of a bucket of the client's requests.
const BUCKET_MS: u64 = 100;

/// Millisecond 0 on both clocks, read at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// For the records of runs.
    pub wall: Wall,
    /// For the samples of the client.
    pub mono: Mono,
}

impl Origin {
    pub(super) fn wall_ms(self, at: Wall) -> u64 {
        millis(at.since(self.wall))
    }

    pub(super) fn mono_ms(self, at: Mono) -> u64 {
        millis(at.since(self.mono))
    }
}

/// Something that was broken, by accident or on purpose.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When.
    pub at: Wall,
    /// The region whose copy went down with it, if one did.
    pub region: Option<Region>,
    /// One line for people.
    pub text: String,
}

/// Everything a report is made of.
#[derive(Debug, Clone)]
pub struct Session<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// One line: what happened.
    pub title: String,
    /// Where time starts.
    pub origin: Origin,
    /// The region of the writer at the origin.
    pub writer: Region,
    /// The runs, in order.
    pub runs: &'a [RunView],
    /// What broke, in order.
    pub faults: &'a [Fault],
    /// The outside client's log; empty when there was no client.
    pub samples: &'a [Sample],
    /// The numbers of all payments the writer holds now, when somebody looked.
    pub held: Option<&'a BTreeSet<u64>>,
    /// Names and versions.
    pub environment: BTreeMap<String, String>,
    /// Further sentences.
    pub notes: Vec<String>,
}

impl<'a> Session<'a> {
    /// The session of one run by itself. Where nobody measured there are no samples, and the note says so.
    pub fn of_run(plan: &'a Plan, view: &'a RunView, origin: Origin, samples: &'a [Sample], note: String) -> Self {
        Self {
            plan,
            title: format!("{}: {}", view.application, view.told()),
            origin,
            writer: view.from.clone(),
            runs: std::slice::from_ref(view),
            faults: &[],
            samples,
            held: None,
            environment: BTreeMap::from([("pilotlight".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
            notes: vec![note],
        }
    }
}

impl Session<'_> {
    /// Makes the report. Pure; [`Report::write`] puts it on disk.
    pub fn report(&self) -> Report {
        let moves: Vec<Move> = self.runs.iter().zip(self.windows()).map(|(run, w)| self.move_in(run, w)).collect();
        let objectives = &self.plan.objectives;
        let mut report = Report {
            schema: SCHEMA,
            application: self.plan.application.to_string(),
            title: self.title.clone(),
            origin: self.origin.wall,
            regions: self.plan.regions.iter().map(Region::to_string).collect(),
            rto: Objective { objective_ms: millis(objectives.rto), measured_ms: self.rto_ms(&moves), at_most_ms: None },
            rpo: self.rpo(&moves),
            moves,
            lanes: Vec::new(),
            client: throughput(self.samples, self.origin, BUCKET_MS),
            guarantee: guarantee(self.plan),
            environment: self.environment.clone(),
            notes: self.notes.clone(),
        };
        let until_ms = report.end_ms().unwrap_or(0);
        report.lanes = lanes::lanes(&self.plan.regions, &self.writer, self.faults, self.runs, self.origin, until_ms);
        report
    }

    fn move_in(&self, view: &RunView, window: Range<Wall>) -> Move {
        let mut one = of_run(view, self.origin);
        let inside = |wall: Wall| window.contains(&wall);
        let event = |at_ms, mark, text: &str| Event { at_ms, text: text.to_owned(), mark: Some(mark) };
        let faults = self.faults.iter().filter(|f| inside(f.at));
        one.events.extend(faults.clone().map(|f| event(self.origin.wall_ms(f.at), Mark::Fault, &f.text)));
        let samples: Vec<Sample> = self.samples.iter().filter(|s| inside(ended(s))).cloned().collect();
        if !samples.is_empty() {
            let felt = impact(view, &samples, self.held, self.origin);
            if let Some(outage) = felt.outage {
                let fault_ms = faults.map(|f| self.origin.wall_ms(f.at)).min();
                let sent = if self.on_its_way(&samples, outage.from_ms, fault_ms) { SENT_BEFORE } else { SENT };
                one.events.push(event(outage.from_ms, Mark::FirstFailed, sent));
                if !felt.outage_goes_on {
                    one.events.push(event(outage.until_ms, Mark::FirstGood, "First good answer arrived"));
                }
            }
            one.impact = Some(felt);
        }
        one.events.sort_by_key(|e| e.at_ms);
        one
    }

    /// The request that failed first was sent before the fault, and had not failed by then.
    fn on_its_way(&self, samples: &[Sample], from_ms: u64, fault_ms: Option<u64>) -> bool {
        let mut first = samples.iter().filter(|s| !s.ok && self.origin.mono_ms(s.start) == from_ms);
        let Some(fault) = fault_ms.filter(|fault| from_ms < *fault) else { return false };
        first.any(|s| fault <= self.origin.mono_ms(s.end))
    }

    /// The time that is told with each run: from where the move before ends to the next fault or move after it, so that an
    /// outage that starts before its run and outlasts it stays whole. A run that leaves the writer where it is has no
    /// time of its own: what users feel meanwhile comes from the move before it. Where no run moves the writer, as in a drain
    /// or a failover in place, all of it is told with the first. A request belongs to the time in which it was answered or
    /// failed.
    fn windows(&self) -> Vec<Range<Wall>> {
        let mut from = Wall(0);
        let none_moves = !self.runs.iter().any(moves_the_writer);
        let window = |at: usize| {
            let has_time = moves_the_writer(&self.runs[at]) || (none_moves && at == 0);
            let until = if has_time { self.border_after(at) } else { from };
            std::mem::replace(&mut from, until)..until
        };
        (0..self.runs.len()).map(window).collect()
    }

    fn border_after(&self, at: usize) -> Wall {
        let next = self.runs[at + 1..].iter().find(|r| moves_the_writer(r));
        let Some(next) = next else { return Wall(u64::MAX) };
        let ended = self.runs[at].ended.unwrap_or(next.started);
        let faults = self.faults.iter().map(|f| f.at).filter(|fault| (ended..next.started).contains(fault));
        self.before_outage(faults.min().unwrap_or(next.started))
    }

    /// An outage that is felt already then, as by another attempt at a failover that failed, is told whole with what comes
    /// after: the border goes back to its first failed request.
    fn before_outage(&self, border: Wall) -> Wall {
        let good = || self.samples.iter().filter(|s| s.ok).map(ended);
        let last_good = good().filter(|end| *end <= border).max();
        let failed = self.samples.iter().filter(|s| !s.ok && last_good < Some(ended(s)) && ended(s) <= border);
        failed.map(|s| s.wall).min().unwrap_or(border)
    }

    /// The longest outage of the unplanned moves, or of all when every move was planned.
    fn rto_ms(&self, moves: &[Move]) -> Option<u64> {
        let unplanned = self.runs.iter().any(|r| r.intent.mode == Mode::Ungraceful);
        let counted = self.runs.iter().zip(moves).filter(|(r, _)| !unplanned || r.intent.mode == Mode::Ungraceful);
        let impacts: Vec<&Impact> = counted.filter_map(|(_, m)| m.impact.as_ref()).collect();
        let longest = impacts.iter().map(|i| i.outage.map_or(0, |o| o.length_ms())).max()?;
        // One that is not over may become longer than the promise; until it is, nobody knows.
        let known = longest > millis(self.plan.objectives.rto) || impacts.iter().all(|i| !i.outage_goes_on);
        known.then_some(longest)
    }

    /// Payments were counted; of what others wrote, sentinels and the lease of the old side say how much it was at the most.
    fn rpo(&self, moves: &[Move]) -> Objective {
        let payments = moves.iter().filter_map(|m| m.impact.as_ref()?.lost_time_ms).max();
        let unplanned = self.runs.iter().filter(|r| r.intent.mode == Mode::Ungraceful);
        let sentinels = unplanned.filter_map(|r| r.cause.exposure_ms).map(millis).max();
        let objective_ms = millis(self.plan.objectives.rpo);
        Objective { objective_ms, measured_ms: payments, at_most_ms: sentinels.filter(|_| sentinels > payments) }
    }
}

/// When a request was answered or had failed.
fn ended(sample: &Sample) -> Wall {
    Wall(sample.wall.0.saturating_add(millis(sample.end.since(sample.start))))
}

fn moves_the_writer(run: &RunView) -> bool {
    run.from != run.intent.target.writer
}

/// What the plan itself says that one writer rests on: `check` shows the same before anything goes live.
fn guarantee(plan: &Plan) -> Guarantee {
    let (rests_on, unproven) = plan::promise(plan);
    Guarantee {
        name: match plan.policy.guarantee {
            plan::Guarantee::Strict => "strict",
            plan::Guarantee::Bounded => "bounded",
            plan::Guarantee::BestEffort => "best-effort",
        }
        .to_owned(),
        rests_on: sentence(&rests_on),
        unproven: unproven.iter().map(|line| sentence(line)).collect(),
    }
}

/// A line of a list as a sentence of its own.
fn sentence(line: &str) -> String {
    let mut letters = line.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

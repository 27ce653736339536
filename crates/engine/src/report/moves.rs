//! What the report takes from a run and from the client's log: conversion, nothing is judged here.

use super::session::Origin;
use super::{Event, Evidence, Ids, Impact, Mark, Move, Part, Rescued, Span, Step, StepEnd, Throughput};
use pilotlight_core::effect::Effect;
use pilotlight_core::measure::{self, Dual, RunTimes, Sample, StepTimes};
use pilotlight_core::placement::{Mode, Verb};
use pilotlight_core::rescue::{Bundle, Rows};
use pilotlight_core::run::{Condition, RunView, StepStatus, StepView};
use pilotlight_core::runbook::returning;
use pilotlight_core::time::show_wall;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Tells a run.
pub(super) fn of_run(view: &RunView, origin: Origin) -> Move {
    let back = returning(view.steps.iter().map(|s| &s.effect));
    let to = match view.intent.verb {
        Verb::Rejoin => back.first().unwrap_or(&view.intent.target.writer),
        _ => &view.intent.target.writer,
    };
    let evidence = |line: &String| match line.split_once(": ") {
        // What a failover would lose stands in the run's cause beside the evidence; it is no witness and has none.
        Some((code, says)) if code.starts_with("PL-") => {
            Evidence { by: format!("exposure ({code})"), says: says.to_owned() }
        }
        Some((by, says)) => Evidence { by: by.to_owned(), says: says.to_owned() },
        None => Evidence { by: view.cause.by.clone(), says: line.clone() },
    };
    Move {
        run: view.run.to_string(),
        verb: view.intent.verb.to_string(),
        from: view.from.to_string(),
        to: to.to_string(),
        cause: format!("{} (by {})", view.cause.why, view.cause.by),
        verdict: None,
        evidence: view.cause.evidence.iter().map(evidence).collect(),
        result: match &view.condition {
            Condition::Ended { result } => result.to_string(),
            _ => "unfinished".to_owned(),
        },
        started_ms: origin.wall_ms(view.started),
        ended_ms: view.ended.map(|at| origin.wall_ms(at)),
        steps: view.steps.iter().map(|s| step(s, origin)).collect(),
        events: turning_points(view, origin),
        impact: None,
        rescued: view.steps.iter().filter_map(|s| s.output.as_ref()?.rescue.as_deref()).map(rescued).collect(),
    }
}

fn rescued(bundle: &Bundle) -> Rescued {
    let span = bundle.first.zip(bundle.last).map(|(first, last)| millis(last.since(first)));
    Rescued {
        bundle: bundle.bundle.to_string(),
        region: bundle.region.to_string(),
        transactions: bundle.commits,
        changes: match bundle.rows {
            Rows::Kept { changes, .. } => Some(changes),
            Rows::Left { .. } => None,
        },
        span_ms: span,
        first: bundle.first.map(show_wall),
        complete: bundle.missing.is_none(),
    }
}

fn step(view: &StepView, origin: Origin) -> Step {
    let failure = view.failure.as_ref().map(|f| f.message.clone());
    let output = view.output.as_ref().map(|o| o.text.clone());
    let said = [view.note.clone(), failure, output].into_iter().flatten().find(|text| !text.is_empty());
    Step {
        id: view.id.to_string(),
        title: view.title.clone(),
        phase: format!("{:?}", view.phase).to_lowercase(),
        end: match view.status {
            StepStatus::Waiting | StepStatus::AwaitingApproval => StepEnd::NotStarted,
            StepStatus::Running | StepStatus::Observing | StepStatus::Retrying | StepStatus::Undoing => {
                StepEnd::Unfinished
            }
            StepStatus::Unknown | StepStatus::Stuck => StepEnd::Unknown,
            StepStatus::Done => StepEnd::Done,
            StepStatus::Warned => StepEnd::Warned,
            StepStatus::Skipped => StepEnd::Skipped,
            StepStatus::PassedOver | StepStatus::Failed | StepStatus::Left => StepEnd::Failed,
            StepStatus::Undone => StepEnd::Undone,
        },
        started_ms: view.started.map(|at| origin.wall_ms(at)),
        ended_ms: view.ended.map(|at| origin.wall_ms(at)),
        attempts: view.attempts,
        said: said.unwrap_or_default(),
    }
}

/// The turning points that the run's own records name.
fn turning_points(view: &RunView, origin: Origin) -> Vec<Event> {
    if !view.intent.verb.moves() {
        return Vec::new();
    }
    let event = |at, mark, text| Event { at_ms: origin.wall_ms(at), text, mark: Some(mark) };
    let ends = |wanted: fn(&Effect) -> bool| {
        let over = view.steps.iter().filter(move |s| wanted(&s.effect) && s.status != StepStatus::Skipped);
        over.filter_map(|s| s.ended.map(|at| (at, s))).max_by_key(|(at, _)| *at)
    };
    let silent = ends(|e| matches!(e, Effect::Fence { .. } | Effect::AwaitLapse { .. } | Effect::StopWrites { .. }));
    let promoted = ends(|e| matches!(e, Effect::Promote { .. } | Effect::Switch { .. }));
    let routed = ends(|e| matches!(e, Effect::Route { .. } | Effect::Shift { .. }));
    let decided = match (view.cause.automatic, view.intent.mode) {
        (true, _) => format!("Decided: {}", view.cause.why),
        (false, Mode::Graceful | Mode::Ungraceful) => format!("Started by {}", view.cause.by),
    };
    let seen = view.cause.first_seen.filter(|_| view.intent.mode == Mode::Ungraceful);
    let sign = |at| event(at, Mark::FirstSign, "First sign of trouble".to_owned());
    let mut events: Vec<Event> = seen.map(sign).into_iter().collect();
    events.push(event(view.started, Mark::Verdict, decided));
    let done = |mark| move |(at, step): (_, &StepView)| event(at, mark, format!("Done: {}", step.title));
    let approvals = view.steps.iter().filter_map(|s| s.approved.as_ref().map(|a| (s, a)));
    events.extend(approvals.map(|(step, approval)| Event {
        at_ms: origin.wall_ms(approval.at),
        text: format!("Approved by {}: {}", approval.by, step.title),
        mark: None,
    }));
    events.extend(silent.map(done(Mark::Fenced)));
    events.extend(promoted.map(done(Mark::Promoted)));
    events.extend(routed.map(done(Mark::Routed)));
    events
}

/// The times that split an outage.
fn run_times(view: &RunView) -> RunTimes {
    // A step is asked for as soon as everything it needs is over.
    let asked = |s: &StepView| {
        let needed = view.steps.iter().filter(|other| s.needs.contains(&other.id));
        needed.filter_map(|n| n.ended).max().unwrap_or(view.started)
    };
    let times = |s: &StepView| {
        // One that came later allowed another attempt.
        let given = s.approved.as_ref().map(|a| a.at).filter(|at| s.started.is_some_and(|started| *at <= started));
        Some(StepTimes {
            id: s.id.clone(),
            phase: s.phase,
            needs: s.needs.clone(),
            approval: given.map(|given| (asked(s), given)),
            started: s.started?,
            ended: s.ended?,
        })
    };
    RunTimes {
        // A run starts in the instant of its verdict; the first sign of trouble is older, but decided nothing.
        noticed: view.started,
        started: view.started,
        steps: view.steps.iter().filter_map(times).collect(),
    }
}

/// Tells what users felt of a run. `samples` are those of this move alone.
pub(super) fn impact(view: &RunView, samples: &[Sample], held: Option<&BTreeSet<u64>>, origin: Origin) -> Impact {
    let rto = measure::rto(samples, Some(&run_times(view)));
    let traffic = measure::traffic(samples);
    let loss = held.map(|held| measure::loss(samples, held));
    let (from, to) = (&view.from, &view.intent.target.writer);
    // Where the writer stays, both are the one region that may acknowledge.
    let dual = if from == to { Dual::default() } else { measure::dual_acked(samples, from, to) };
    let numbers = |ids: &[u64]| Ids::of(ids.iter().map(u64::to_string));
    let found = measure::outage(samples);
    let ends = |outage: measure::Outage| outage.until.or_else(|| samples.iter().map(|s| s.end).max());
    let span = |outage: measure::Outage| {
        Some(Span { from_ms: origin.mono_ms(outage.from), until_ms: origin.mono_ms(ends(outage)?) })
    };
    let outage = found.and_then(span);
    Impact {
        outage,
        outage_goes_on: found.is_some_and(|o| o.until.is_none()),
        parts: outage.zip(rto).map(|(o, r)| whole_millis(&r.parts_us, o.length_ms())).unwrap_or_default(),
        longest_gap_ms: millis(traffic.longest_gap_ms.unwrap_or_default()),
        lost_time_ms: loss.as_ref().map(|l| millis(l.span_ms)),
        acked: traffic.acked,
        failed: traffic.failed,
        lost: loss.map(|l| numbers(&l.lost)),
        dual_acked: numbers(&dual.certain),
        late_acked: dual.late.len() as u64,
    }
}

/// Rounds the points between the parts, not their lengths; the last one is the outage's own end, so that the sum is the
/// outage as it is shown.
fn whole_millis(parts_us: &BTreeMap<measure::Part, u64>, outage_ms: u64) -> Vec<Part> {
    let count = parts_us.len();
    let ends = parts_us.iter().enumerate().scan((0, 0), |(end_us, from_ms), (at, (part, us))| {
        *end_us += us;
        let end_ms = if at + 1 == count { outage_ms } else { (*end_us / 1_000).min(outage_ms) };
        let ms = end_ms - std::mem::replace(from_ms, end_ms);
        Some(Part { name: part.to_string(), ms })
    });
    ends.collect()
}

/// Counts the client's requests by the bucket in which their answer came.
pub(super) fn throughput(samples: &[Sample], origin: Origin, bucket_ms: u64) -> Option<Throughput> {
    let last = samples.iter().map(|s| origin.mono_ms(s.end)).max()?;
    let mut buckets = vec![super::Bucket::default(); usize::try_from(last / bucket_ms).ok()? + 1];
    for sample in samples {
        let bucket = usize::try_from(origin.mono_ms(sample.end) / bucket_ms).ok().and_then(|at| buckets.get_mut(at));
        match (bucket, sample.ok, &sample.region) {
            (Some(bucket), true, Some(region)) => *bucket.acked.entry(region.to_string()).or_default() += 1,
            (Some(bucket), true, None) => *bucket.acked.entry(String::new()).or_default() += 1,
            (Some(bucket), false, _) => bucket.failed += 1,
            (None, ..) => {}
        }
    }
    Some(Throughput { bucket_ms, from_ms: 0, buckets })
}

pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::whole_millis;
    use pilotlight_core::measure::Part;

    #[test]
    fn the_parts_are_the_outage_however_it_was_rounded() {
        let parts = [(Part::Detect, 3_600_400), (Part::Fence, 900), (Part::Route, 1_675_999)].into();
        for outage_ms in [5_277, 5_278, 3_600] {
            let ms: Vec<u64> = whole_millis(&parts, outage_ms).iter().map(|p| p.ms).collect();
            assert_eq!(ms.iter().sum::<u64>(), outage_ms);
            assert_eq!(ms[..2], [3_600, u64::from(outage_ms > 3_600)]);
        }
        assert!(whole_millis(&[].into(), 5).is_empty());
    }
}

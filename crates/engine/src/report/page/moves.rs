//! The section of one move: picture, what the time went to, figures, steps, evidence, events.

use super::{moment, moment_ms};
use crate::report::figures::{count, length, offset, share};
use crate::report::picture::{self, Row, View, numbered};
use crate::report::{Event, Ids, Impact, LaneState, Mark, Move, Report, Rescued, Span, Step, StepEnd};
use maud::{Markup, html};

pub(super) fn section(report: &Report, number: usize, one: &Move) -> Markup {
    let (zero_ms, zero_is) = zero(one);
    html! {
        section class="move" id=(format!("move-{number}")) {
            h2 { (number) ". " (headline(one)) }
            p { (one.cause) }
            p class="result" {
                "Run " code { (one.run) } ", started " (moment(report, one.started_ms)) ", "
                b { (one.result) }
                @if let Some(ended) = one.ended_ms { " after " (length(ended.saturating_sub(one.started_ms))) }
                "."
            }
            (figure(report, number, one, (zero_ms, &zero_is)))
            @if let Some(impact) = &one.impact {
                @if !impact.parts.is_empty() {
                    h3 { "What the outage went to" }
                    figure class="wide" { (picture::parts(&format!("move-{number}"), &impact.parts)) }
                }
                div class="two" {
                    @if !impact.parts.is_empty() { (split(impact)) }
                    (felt(impact))
                }
                @if let Some(lost) = &impact.lost { (ids("Lost", lost)) }
                (ids("Acknowledged by both regions", &impact.dual_acked))
            }
            @if !one.rescued.is_empty() { (rescued(&one.rescued)) }
            (steps(&one.steps, zero_ms))
            @if !one.evidence.is_empty() { (evidence(one)) }
            @if !one.events.is_empty() { (events(report, &one.events, zero_ms)) }
        }
    }
}

/// `Failover from east to west`.
pub(super) fn headline(one: &Move) -> String {
    let mut verb = one.verb.clone();
    if let Some(first) = verb.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    match one.verb.as_str() {
        "rejoin" => format!("{verb} of {}", one.to),
        _ => format!("{verb} from {} to {}", one.from, one.to),
    }
}

/// What the times of a move are counted from, and in words: the fault, else the first failed request, else the first sign of
/// trouble, else the start of the run.
fn zero(one: &Move) -> (u64, String) {
    let at = |mark| one.events.iter().find(|e| e.mark == Some(mark)).map(|e| (e.at_ms, e.text.clone()));
    let outage = one.impact.as_ref().and_then(|i| i.outage);
    let failed = outage.map(|o| (o.from_ms, "the first failed request was sent".to_owned()));
    let sign = at(Mark::FirstSign).map(|(at, _)| (at, "the first sign of trouble".to_owned()));
    at(Mark::Fault).or(failed).or(sign).unwrap_or_else(|| (one.started_ms, "the run was started".to_owned()))
}

/// From before the first turning point to after the last, with room on both sides.
fn window(one: &Move, zero_ms: u64) -> Span {
    let outage = one.impact.as_ref().and_then(|i| i.outage);
    let points = one.events.iter().filter(|e| e.mark.is_some()).map(|e| e.at_ms);
    let steps = one.steps.iter().flat_map(|s| [s.started_ms, s.ended_ms]).flatten();
    let spans = outage.into_iter().flat_map(|o| [o.from_ms, o.until_ms]);
    let all = || {
        points.clone().chain(steps.clone()).chain(spans.clone()).chain(one.ended_ms).chain([one.started_ms, zero_ms])
    };
    let (from, until) = (all().min().unwrap_or(zero_ms), all().max().unwrap_or(zero_ms));
    let room = ((until - from) / 12).max(300);
    Span { from_ms: from.saturating_sub(room), until_ms: until + room }
}

fn figure(report: &Report, number: usize, one: &Move, (zero_ms, zero_is): (u64, &str)) -> Markup {
    let marks = numbered(&one.events);
    let outage = one.impact.as_ref().and_then(|i| i.outage);
    let goes_on = one.impact.as_ref().is_some_and(|i| i.outage_goes_on);
    let felt = outage.map(|span| Row {
        name: "outage for users".to_owned(),
        span: Some(span),
        goes_on,
        class: "felt".to_owned(),
        word: goes_on.then(|| "not over when the log ended".to_owned()),
    });
    let window = window(one, zero_ms);
    let view = View {
        name: format!("move-{number}"),
        title: format!("Timeline: {}", headline(one)),
        window,
        zero_ms,
        // White says that users were served.
        outage: outage.map(|o| Span { until_ms: if goes_on { window.until_ms } else { o.until_ms }, ..o }),
        marks: marks.iter().map(|(_, event)| *event).collect(),
        rows: felt.into_iter().chain(one.steps.iter().map(row)).collect(),
    };
    html! {
        figure {
            div class="wide" { (picture::timeline(report, &view)) }
            figcaption { "Here and below times are counted from 0: " (zero_is) "." }
            (legend(report))
            @if !marks.is_empty() {
                ol class="marks" {
                    @for (_, event) in &marks {
                        li class=(event.mark.map_or("", picture::mark_class)) { b { (offset(event.at_ms, zero_ms)) } " " (event.text) }
                    }
                }
            }
        }
    }
}

fn row(step: &Step) -> Row {
    let word = match step.end {
        StepEnd::Done => None,
        end => Some(end.word().to_owned()),
    };
    let span = step.started_ms.map(|from_ms| Span { from_ms, until_ms: step.ended_ms.unwrap_or(from_ms) });
    let class = match step.end {
        StepEnd::Failed | StepEnd::Unknown => "failed".to_owned(),
        StepEnd::Skipped | StepEnd::NotStarted => "part other".to_owned(),
        _ => picture::part_class(&step.phase).to_owned(),
    };
    Row { name: step.title.clone(), span, goes_on: false, class, word }
}

pub(super) fn legend(report: &Report) -> Markup {
    html! {
        ul class="legend" {
            @for (colour, region) in report.regions.iter().enumerate() {
                li { span class=(format!("swatch fill-region-{}", colour % 4)) {} (region) " writes, answers" }
                li { span class=(format!("swatch fill-copy-{}", colour % 4)) {} (region) " follows" }
            }
            @if report.client.is_some() { li { span class="swatch fill-failed" {} "failed" } }
            @if report.lanes.iter().flat_map(|l| &l.spans).any(|s| s.state == LaneState::Rejoining) {
                li { span class="swatch fill-rejoining" {} "rejoining" }
            }
            li { span class="swatch fill-gone" {} "fenced or lost" }
        }
    }
}

fn split(impact: &Impact) -> Markup {
    let total = impact.parts.iter().map(|p| p.ms).sum();
    html! {
        table class="narrow" {
            thead { tr { th { "Part of the outage" } th class="n" { "Time" } th class="n" { "Share" } } }
            tbody {
                @for part in &impact.parts {
                    @let colour = picture::part_class(&part.name).trim_start_matches("part ");
                    tr {
                        td { span class=(format!("swatch fill-{colour}")) {} (part.name) }
                        td class="n" { (length(part.ms)) }
                        td class="n" { (share(part.ms, total)) }
                    }
                }
            }
            tfoot { tr { td { "together" } td class="n" { (length(total)) } td {} } }
        }
    }
}

/// How long users were not served, in words.
pub(super) fn outage(impact: &Impact) -> String {
    match impact.outage.map(|o| length(o.length_ms())) {
        None => "none".to_owned(),
        Some(so_far) if impact.outage_goes_on => format!("over {so_far}, not over"),
        Some(whole) => whole,
    }
}

fn felt(impact: &Impact) -> Markup {
    let lost = impact.lost.as_ref().map_or_else(|| "not measured".to_owned(), |ids| count(ids.count));
    html! {
        table class="narrow" {
            thead { tr { th { "What users felt" } th {} } }
            tbody {
                tr { td { "Outage, first failed to first good request" } td class="n" { (outage(impact)) } }
                tr { td { "Longest time without a good request" } td class="n" { (length(impact.longest_gap_ms)) } }
                tr { td { "Requests acknowledged" } td class="n" { (count(impact.acked)) } }
                tr { td { "Requests failed" } td class="n" { (count(impact.failed)) } }
                tr { td { "Acknowledged and lost" } td class="n" { (lost) } }
                @if let Some(ms) = impact.lost_time_ms {
                    tr { td { "Time whose changes were lost" } td class="n" { (length(ms)) } }
                }
                tr { td { "Acknowledged by both regions" } td class="n" { (count(impact.dual_acked.count)) } }
                @if impact.late_acked > 0 {
                    tr { td { "Answers of the old region that arrived late" } td class="n" { (count(impact.late_acked)) } }
                }
            }
        }
    }
}

/// What was lost and is kept.
fn rescued(bundles: &[Rescued]) -> Markup {
    html! {
        h3 { "Kept in rescue bundles" }
        table class="narrow" {
            thead { tr { th { "Bundle" } th { "In" } th class="n" { "Transactions" } th class="n" { "Changes" } th class="n" { "Time span" } th { "Since" } } }
            tbody {
                @for one in bundles {
                    tr {
                        td { code { (one.bundle) } @if !one.complete { " (incomplete)" } }
                        td { (one.region) }
                        td class="n" { (count(one.transactions)) }
                        td class="n" { (one.changes.map_or_else(|| "not kept".to_owned(), count)) }
                        td class="n" { (one.span_ms.map_or_else(|| "unknown".to_owned(), length)) }
                        td { (one.first.as_deref().unwrap_or("unknown")) }
                    }
                }
            }
        }
    }
}

fn ids(what: &str, ids: &Ids) -> Markup {
    let rest = ids.count.saturating_sub(ids.first.len() as u64);
    html! {
        @if ids.count > 0 {
            h4 { (what) ": " (count(ids.count)) }
            p class="ids" {
                @for id in &ids.first { code { (id) } " " }
                @if rest > 0 { "and " (count(rest)) " more" }
            }
        }
    }
}

fn steps(steps: &[Step], zero_ms: u64) -> Markup {
    html! {
        h3 { "Steps" }
        div class="wide" {
            table {
                thead { tr { th { "Step" } th { "Part" } th class="n" { "Start, from 0" } th class="n" { "Took" } th class="n" { "Tries" } th { "Outcome" } } }
                tbody {
                    @for step in steps {
                        tr {
                            td { (step.title) @if !step.said.is_empty() { div class="said" { (step.said) } } }
                            td class="phase" { (step.phase) }
                            td class="n" { (step.started_ms.map_or_else(|| "—".to_owned(), |at| offset(at, zero_ms))) }
                            td class="n" { (took(step)) }
                            td class="n" { (step.attempts) }
                            td class=(tone(step.end)) { (step.end.word()) }
                        }
                    }
                }
            }
        }
    }
}

fn took(step: &Step) -> String {
    match (step.started_ms, step.ended_ms) {
        (Some(from), Some(until)) => length(until.saturating_sub(from)),
        _ => "—".to_owned(),
    }
}

fn tone(end: StepEnd) -> &'static str {
    match end {
        StepEnd::Done | StepEnd::Skipped => "",
        StepEnd::Failed | StepEnd::Unknown => "bad",
        StepEnd::NotStarted | StepEnd::Unfinished | StepEnd::Warned | StepEnd::Undone => "warn",
    }
}

fn evidence(one: &Move) -> Markup {
    html! {
        h3 { "Why it was decided" @if let Some(verdict) = &one.verdict { ": " (verdict) } }
        table class="narrow" {
            tbody { @for line in &one.evidence { tr { th { (line.by) } td { (line.says) } } } }
        }
    }
}

fn events(report: &Report, events: &[Event], zero_ms: u64) -> Markup {
    let mut ordered: Vec<&Event> = events.iter().collect();
    ordered.sort_by_key(|e| e.at_ms);
    html! {
        h3 { "Events" }
        table {
            thead { tr { th class="n" { "From 0" } th { "Event" } th { "Time" } } }
            tbody {
                @for event in ordered {
                    tr { td class="n" { (offset(event.at_ms, zero_ms)) } td { (event.text) } td class="time" { (moment_ms(report, event.at_ms)) } }
                }
            }
        }
    }
}

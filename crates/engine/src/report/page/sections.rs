//! What is told once for the whole report: the overview, the guarantee, where it was measured.

use super::moment;
use super::moves::{headline, legend, outage};
use crate::report::figures::{count, length};
use crate::report::picture::{self, Row, View};
use crate::report::{Report, Span};
use maud::{Markup, html};

/// All moves on one axis; left out when there is only one, whose own picture says it all.
pub(super) fn overview(report: &Report) -> Markup {
    let Some(until_ms) = report.end_ms().filter(|_| report.moves.len() > 1) else { return html! {} };
    let run = |(number, one): (usize, &crate::report::Move)| Row {
        name: format!("{number}. {}", headline(one)),
        span: Some(Span { from_ms: one.started_ms, until_ms: one.ended_ms.unwrap_or(until_ms) }),
        goes_on: one.ended_ms.is_none(),
        class: "run".to_owned(),
        word: (one.result != "done").then(|| one.result.clone()),
    };
    let view = View {
        name: "overview".to_owned(),
        title: format!("Timeline of everything: {}", report.title),
        window: Span { from_ms: report.client.as_ref().map_or(0, |c| c.from_ms), until_ms },
        zero_ms: 0,
        outage: None,
        marks: Vec::new(),
        rows: (1..).zip(&report.moves).map(run).collect(),
    };
    html! {
        section {
            h2 { "Overview" }
            figure {
                div class="wide" { (picture::timeline(report, &view)) }
                figcaption { "Times are counted from 0: " (moment(report, 0)) "." }
                (legend(report))
            }
            (summary(report))
        }
    }
}

fn summary(report: &Report) -> Markup {
    let dash = || "—".to_owned();
    html! {
        div class="wide" {
            table {
                thead { tr { th { "Move" } th { "Result" } th class="n" { "Run" } th class="n" { "Outage" } th class="n" { "Longest gap" } th class="n" { "Lost" } th class="n" { "Twice" } } }
                tbody {
                    @for (number, one) in (1..).zip(&report.moves) {
                        tr {
                            td { a href=(format!("#move-{number}")) { (number) ". " (headline(one)) } }
                            td { (one.result) }
                            td class="n" { (one.ended_ms.map_or_else(dash, |end| length(end.saturating_sub(one.started_ms)))) }
                            @match &one.impact {
                                Some(impact) => {
                                    td class="n" { (outage(impact)) }
                                    td class="n" { (length(impact.longest_gap_ms)) }
                                    td class="n" { (impact.lost.as_ref().map_or_else(dash, |ids| count(ids.count))) }
                                    td class="n" { (count(impact.dual_acked.count)) }
                                }
                                None => { td class="n" { "—" } td class="n" { "—" } td class="n" { "—" } td class="n" { "—" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn guarantee(report: &Report) -> Markup {
    let guarantee = &report.guarantee;
    html! {
        section {
            h2 { "One writer: guarantee “" (guarantee.name) "”" }
            p { (guarantee.rests_on) }
            @if !guarantee.unproven.is_empty() {
                p { "What it leaves unproven:" }
                ul { @for hole in &guarantee.unproven { li { (hole) } } }
            }
        }
    }
}

pub(super) fn environment(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Where it was measured" }
            table class="narrow" {
                tbody { @for (name, value) in &report.environment { tr { th { (name) } td { (value) } } } }
            }
            @if !report.notes.is_empty() {
                ul { @for note in &report.notes { li { (note) } } }
            }
        }
    }
}

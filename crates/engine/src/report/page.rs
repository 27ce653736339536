//! The report as one HTML page that needs nothing but itself.

mod moves;
mod sections;

use super::figures::{count, length};
use super::{Move, Objective, Objectives, Report};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use pilotlight_core::time::{Wall, show_wall};

const STYLE: &str = include_str!("page/style.css");

/// Renders the page.
pub fn page(report: &Report) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (report.title) " · Pilotlight" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(report))
                    (cards(report))
                    (sections::overview(report))
                    @for (number, one) in (1..).zip(&report.moves) {
                        (moves::section(report, number, one))
                    }
                    (sections::guarantee(report))
                    (sections::environment(report))
                }
                footer {
                    "Written by Pilotlight, report schema " (report.schema)
                    ". This page is complete in itself: it loads nothing and runs no script. The same data stands in report.json beside it."
                }
            }
        }
    };
    markup.into_string()
}

fn head(report: &Report) -> Markup {
    let last = report.end_ms();
    let moved = report.moves.iter().any(Move::moves);
    html! {
        header {
            p class="eyebrow" { "Recovery report · " (report.application) }
            h1 { (report.title) }
            p class="when" {
                (moment(report, 0))
                @if let Some(last) = last { " to " (moment(report, last)) ", " (length(last)) }
            }
            @match report.objectives() {
                // No promise is about a run that moves nothing.
                Objectives::Missed if !moved => p class="badge bad" { "Not done" },
                _ if !moved => p class="badge good" { "Done" },
                Objectives::Met => p class="badge good" { "Objectives met" },
                Objectives::Missed => p class="badge bad" { "Objectives not met" },
                Objectives::NotMeasured => p class="badge open" { "Done; objectives not measured from outside" },
            }
        }
    }
}

/// A point in time for people, to the second.
fn moment(report: &Report, at_ms: u64) -> String {
    let text = show_wall(Wall(report.origin.0 + at_ms));
    format!("{} UTC", text[..19].replace('T', " "))
}

/// The same to the millisecond, for what follows each other closely.
fn moment_ms(report: &Report, at_ms: u64) -> String {
    let text = show_wall(Wall(report.origin.0 + at_ms));
    format!("{} UTC", text[..23].replace('T', " "))
}

fn cards(report: &Report) -> Markup {
    let impacts = || report.moves.iter().filter_map(|m| m.impact.as_ref());
    let together = |counts: Vec<u64>| (!counts.is_empty()).then(|| counts.iter().sum());
    let lost = together(impacts().filter_map(|i| i.lost.as_ref()).map(|ids| ids.count).collect());
    let dual = together(impacts().map(|i| i.dual_acked.count).collect());
    if !report.moves.iter().any(Move::moves) {
        return html! {};
    }
    html! {
        section class="cards" aria-label="The result in four figures" {
            (promise("Recovery time (RTO)", "first failed to first good request", report.rto))
            (promise("Recovery point (RPO)", &lost_time(report.rpo), report.rpo))
            (number("Acknowledged and lost", "requests", "in all moves together", lost))
            (number("Acknowledged twice", "requests, by both regions", "must be none", dual))
        }
    }
}

fn promise(name: &str, what: &str, objective: Objective) -> Markup {
    let (class, word) = match objective.met() {
        Some(true) => ("good", "met"),
        Some(false) => ("bad", "missed"),
        None if objective.at_most_ms.is_some() => ("open", "perhaps missed"),
        None => ("open", "not measured"),
    };
    html! {
        div class=(format!("card {class}")) {
            h2 { (name) }
            p class="figure" {
                @match (objective.measured_ms, objective.at_most_ms) {
                    (Some(ms), _) => (length(ms)),
                    (None, Some(ms)) => { "≤ " (length(ms)) }
                    (None, None) => "—",
                }
            }
            p class="against" { "objective " (length(objective.objective_ms)) " · " b { (word) } }
            p class="what" { (what) }
        }
    }
}

/// What the figure of the RPO is, and how much it may be of what nobody counted.
fn lost_time(rpo: Objective) -> String {
    let lost = "the time whose acknowledged changes were lost";
    match (rpo.measured_ms, rpo.at_most_ms) {
        (Some(_), Some(ms)) => format!("{lost}, as counted; of what nobody counted at most {}", length(ms)),
        (None, Some(_)) => format!("{lost}, at the most; nobody counted"),
        (Some(_), None) => format!("{lost}, as counted"),
        (None, None) => lost.to_owned(),
    }
}

fn number(name: &str, unit: &str, what: &str, n: Option<u64>) -> Markup {
    let class = match n {
        None => "open",
        Some(0) => "good",
        Some(_) => "warn",
    };
    html! {
        div class=(format!("card {class}")) {
            h2 { (name) }
            p class="figure" { (n.map_or_else(|| "—".to_owned(), count)) }
            p class="against" { @if n.is_none() { b { "not measured" } } @else { (unit) } }
            p class="what" { (what) }
        }
    }
}

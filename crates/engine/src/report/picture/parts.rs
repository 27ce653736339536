//! The outage as one bar, split into what it went to.

use super::scale::WIDTH;
use crate::report::Part;
use crate::report::figures::{length, px, width};
use maud::{Markup, html};

const TALL: f64 = 40.0;

/// Draws the bar; every part that has a length is there, those with room carry their name.
pub(in crate::report) fn parts(name: &str, parts: &[Part]) -> Markup {
    let total = parts.iter().map(|p| p.ms).sum::<u64>().max(1);
    let title_id = format!("{name}-parts-title");
    html! {
        svg class="parts" viewBox=(format!("0 0 {} {}", px(WIDTH), px(TALL + 2.0))) role="img" aria-labelledby=(title_id) {
            title id=(title_id) { "What the outage of " (length(total)) " went to" }
            @for (x, part) in placed(parts, total) {
                @let wide = share(part.ms, total);
                g {
                    title { (part.name) " " (length(part.ms)) }
                    rect class=(class(&part.name)) x=(px(x)) y="1" width=(px(wide)) height=(px(TALL)) {}
                    @if width(&part.name).max(width(&length(part.ms))) + 10.0 < wide {
                        text class="on-part strong" x=(px(x + wide / 2.0)) y="17" text-anchor="middle" { (part.name) }
                        text class="on-part" x=(px(x + wide / 2.0)) y="32" text-anchor="middle" { (length(part.ms)) }
                    }
                }
            }
        }
    }
}

fn share(ms: u64, total: u64) -> f64 {
    ms as f64 / total as f64 * WIDTH
}

/// The parts that have a length, each with the place where it starts.
fn placed(parts: &[Part], total: u64) -> Vec<(f64, &Part)> {
    let ends = parts.iter().scan(0, |end, part| {
        let start = *end;
        *end += part.ms;
        Some((share(start, total), part))
    });
    ends.filter(|(_, part)| part.ms > 0).collect()
}

/// The colour of a part or a phase.
pub(in crate::report) fn class(name: &str) -> &'static str {
    match name {
        "detect" => "part detect",
        "approve" => "part approve",
        "decide" => "part decide",
        "fence" => "part fence",
        "promote" => "part promote",
        "scale" => "part scale",
        "route" => "part route",
        "propagate" => "part propagate",
        "verify" => "part verify",
        _ => "part other",
    }
}

//! One band per region: what its copy was.

use super::scale::{LEFT, RIGHT, Scale};
use crate::report::figures::{px, width};
use crate::report::{Lane, LaneState, Report, Stay};
use maud::{Markup, html};

const BAND: f64 = 22.0;
const STRIDE: f64 = 28.0;

pub(super) fn height(lanes: &[Lane]) -> f64 {
    STRIDE * lanes.len() as f64 + 6.0
}

/// Hatchings tell the states apart on paper and for those who do not see colours.
pub(super) fn patterns(name: &str) -> Markup {
    html! {
        defs {
            pattern id=(format!("{name}-lost")) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                line class="hatch" x1="0" x2="0" y1="0" y2="6" {}
            }
            pattern id=(format!("{name}-rejoining")) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                line class="hatch" x1="0" x2="0" y1="0" y2="6" {}
            }
            pattern id=(format!("{name}-fenced")) width="6" height="6" patternUnits="userSpaceOnUse" {
                path class="hatch bad" d="M0 0 L6 6 M0 6 L6 0" {}
            }
        }
    }
}

pub(super) fn draw(report: &Report, scale: &Scale, name: &str, top: f64) -> Markup {
    html! {
        @for (row, lane) in report.lanes.iter().enumerate() {
            @let y = top + 4.0 + STRIDE * row as f64;
            @let colour = report.regions.iter().position(|r| *r == lane.region).unwrap_or(row) % 4;
            // A lane is one line high: a name that is too long is pressed into it.
            @let pressed = (width(&lane.region) > LEFT - 16.0).then(|| px(LEFT - 16.0));
            text class="name" x=(px(LEFT - 10.0)) y=(px(y + 15.0)) text-anchor="end"
                textLength=[pressed.as_ref()] lengthAdjust=[pressed.as_ref().map(|_| "spacingAndGlyphs")] { (lane.region) }
            rect class="lane" x=(px(LEFT)) y=(px(y)) width=(px(RIGHT - LEFT)) height=(px(BAND)) {}
            @for stay in shown(lane, scale) {
                (band(&stay, scale, name, colour, y))
            }
        }
    }
}

/// What was known last is drawn to the end of the picture: white says that nobody saw it, and somebody did.
fn shown(lane: &Lane, scale: &Scale) -> Vec<Stay> {
    let mut stays = lane.spans.clone();
    if let Some(last) = stays.last_mut() {
        last.span.until_ms = last.span.until_ms.max(scale.until_ms());
    }
    stays.retain(|stay| scale.shows(stay.span));
    stays
}

fn band(stay: &Stay, scale: &Scale, name: &str, colour: usize, y: f64) -> Markup {
    let (x, wide) = (scale.x(stay.span.from_ms), scale.width(stay.span));
    let word = stay.state.word();
    let class = match stay.state {
        LaneState::Writer => format!("region-{colour}"),
        LaneState::Standby | LaneState::Rejoining => format!("copy-{colour}"),
        LaneState::Fenced | LaneState::Lost => "gone".to_owned(),
    };
    let hatched = matches!(stay.state, LaneState::Fenced | LaneState::Lost | LaneState::Rejoining);
    // Behind the word, which stands on a hatching.
    let plain = if stay.state == LaneState::Rejoining { class.clone() } else { "gone".to_owned() };
    let ink = if stay.state == LaneState::Writer { "on-colour" } else { "on-pale" };
    html! {
        g {
            title { (word) }
            rect class=(class) x=(px(x)) y=(px(y)) width=(px(wide)) height=(px(BAND)) {}
            @if hatched {
                rect fill=(format!("url(#{name}-{word})")) x=(px(x)) y=(px(y)) width=(px(wide)) height=(px(BAND)) {}
            }
            @if width(word) + 10.0 < wide {
                @if hatched {
                    rect class=(plain) x=(px(x + wide / 2.0 - width(word) / 2.0 - 4.0)) y=(px(y + 3.0))
                        width=(px(width(word) + 8.0)) height=(px(BAND - 6.0)) rx="3" {}
                }
                text class=(ink) x=(px(x + wide / 2.0)) y=(px(y + 15.0)) text-anchor="middle" { (word) }
            }
        }
    }
}

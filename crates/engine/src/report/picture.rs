//! The timeline as a picture: what every region was, what the client saw, what the run did, on one axis of time.
//!
//! Everything is laid out so that it cannot overlap whatever the lengths are: turning points are numbers that move
//! apart sideways and keep a line to their place, bars have at least a visible width, texts go where there is room.

mod bars;
mod lanes;
mod marks;
mod parts;
mod rows;
mod scale;

pub(super) use marks::{class as mark_class, numbered};
pub(super) use parts::{class as part_class, parts};
pub(super) use rows::Row;

use super::figures::px;
use super::{Event, Report, Span};
use bars::Bars;
use maud::{Markup, html};
use scale::{LEFT, RIGHT, Scale, WIDTH};

/// What a picture shows.
pub(super) struct View<'a> {
    /// Makes the ids inside the picture unique in the page.
    pub(super) name: String,
    /// One line for those who cannot see it.
    pub(super) title: String,
    /// The time it spans.
    pub(super) window: Span,
    /// Where the axis counts from.
    pub(super) zero_ms: u64,
    /// The time to be tinted, if users felt something.
    pub(super) outage: Option<Span>,
    /// The turning points, in order of time.
    pub(super) marks: Vec<&'a Event>,
    /// Bars below the client's: steps of a run, or runs.
    pub(super) rows: Vec<Row>,
}

/// Draws it.
pub(super) fn timeline(report: &Report, view: &View) -> Markup {
    let scale = Scale::new(view.window);
    let top = if view.marks.is_empty() { 8.0 } else { marks::HEIGHT };
    let lanes_bottom = top + lanes::height(&report.lanes);
    let bars = report.client.as_ref().map(|client| Bars::new(client, &report.regions, view.window));
    let bars_bottom = lanes_bottom + bars.as_ref().map_or(0.0, Bars::height);
    let bottom = bars_bottom + rows::height(&view.rows);
    let height = bottom + scale::AXIS_HEIGHT;
    let title_id = format!("{}-title", view.name);
    html! {
        svg class="timeline" viewBox=(format!("0 0 {} {}", px(WIDTH), px(height))) role="img" aria-labelledby=(title_id) {
            title id=(title_id) { (view.title) }
            (lanes::patterns(&view.name))
            (scale::grid(&scale, view.zero_ms, top, bottom))
            @if let Some(outage) = view.outage {
                rect class="outage-tint" x=(px(scale.x(outage.from_ms))) y=(px(top))
                    width=(px(scale.width(outage))) height=(px(bottom - top)) {}
            }
            @if let Some(bars) = &bars { (bars::draw(bars, &scale, lanes_bottom)) }
            (marks::draw(&view.marks, &scale, bottom))
            // Above the marks' lines, so that no line runs through a word.
            (lanes::draw(report, &scale, &view.name, top))
            (rows::draw(&view.rows, &scale, bars_bottom))
            line class="axis" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(bottom)) y2=(px(bottom)) {}
        }
    }
}

//! Rows of bars: the steps of a run, or the runs of a session.

use super::scale::{LEFT, RIGHT, Scale};
use crate::report::Span;
use crate::report::figures::{length, px, width, wrap};
use maud::{Markup, html};

const STRIDE: f64 = 19.0;
const TALL: f64 = 11.0;
/// Between two lines of one name.
const LINE: f64 = 13.0;
/// So long is the point of a bar that goes on.
const POINT: f64 = 8.0;

/// A named bar.
pub(in crate::report) struct Row {
    /// Left of the plot.
    pub(in crate::report) name: String,
    /// When; `None` when it never started.
    pub(in crate::report) span: Option<Span>,
    /// It was not over at the end of the span, where nobody looked any more.
    pub(in crate::report) goes_on: bool,
    /// Its colour.
    pub(in crate::report) class: String,
    /// Said beside the bar instead of its length.
    pub(in crate::report) word: Option<String>,
}

pub(super) fn height(rows: &[Row]) -> f64 {
    if rows.is_empty() { 0.0 } else { rows.iter().map(stride).sum::<f64>() + 10.0 }
}

/// A name is never cut off: a long one takes further lines, and its row the room for them.
fn lines(row: &Row) -> Vec<String> {
    wrap(&row.name, LEFT - 16.0)
}

fn stride(row: &Row) -> f64 {
    STRIDE + LINE * lines(row).len().saturating_sub(1) as f64
}

pub(super) fn draw(rows: &[Row], scale: &Scale, top: f64) -> Markup {
    let mut y = top + 6.0;
    let mut placed = Vec::new();
    for row in rows {
        placed.push((row, y));
        y += stride(row);
    }
    html! {
        @for (row, y) in placed {
            g {
                title { (row.name) }
                @for (at, line) in lines(row).iter().enumerate() {
                    text class="name" x=(px(LEFT - 10.0)) y=(px(y + 9.5 + LINE * at as f64)) text-anchor="end" { (line) }
                }
                @match row.span {
                    Some(span) => (bar(row, span, scale, y)),
                    None => text class="beside" x=(px(LEFT + 6.0)) y=(px(y + 9.5)) { (row.word.as_deref().unwrap_or("not started")) },
                }
            }
        }
    }
}

fn bar(row: &Row, span: Span, scale: &Scale, y: f64) -> Markup {
    let (x, wide) = (scale.x(span.from_ms), scale.width(span));
    let text = match &row.word {
        Some(word) => format!("{} · {word}", length(span.length_ms())),
        None => length(span.length_ms()),
    };
    let end = x + wide;
    let right = end + 6.0 + if row.goes_on { POINT } else { 0.0 };
    let (at, anchor) = if right + width(&text) < RIGHT { (right, "start") } else { (x - 6.0, "end") };
    let room = anchor == "start" || at - width(&text) > LEFT;
    html! {
        rect class=(row.class) x=(px(x)) y=(px(y)) width=(px(wide)) height=(px(TALL)) rx="1.5" {}
        @if row.goes_on {
            path class=(row.class) d=(format!("M{} {} l{} {} l{} {} z", px(end), px(y), px(POINT), px(TALL / 2.0), px(-POINT), px(TALL / 2.0))) {}
        }
        @if room {
            text class="beside" x=(px(at)) y=(px(y + 9.5)) text-anchor=(anchor) { (text) }
        } @else {
            text class="inside" x=(px(x + wide - 6.0)) y=(px(y + 9.0)) text-anchor="end" { (text) }
        }
    }
}

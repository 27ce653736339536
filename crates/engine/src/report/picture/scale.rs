//! The axis of time: where a millisecond lies, where the ticks are.

use crate::report::Span;
use crate::report::figures::px;
use maud::{Markup, html};

/// Width of every picture, in its own units.
pub(super) const WIDTH: f64 = 960.0;
/// Where the plot starts; left of it are the names.
pub(super) const LEFT: f64 = 216.0;
/// Where the plot ends.
pub(super) const RIGHT: f64 = 948.0;
/// Room for the ticks' texts.
pub(super) const AXIS_HEIGHT: f64 = 24.0;
/// Two ticks are at least so far apart, so that their texts never meet.
const LEAST_TICK: f64 = 72.0;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 3_600_000;
/// Lengths people count in.
const STEPS: &[u64] = &[
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
];

/// Maps time to place.
pub(super) struct Scale {
    window: Span,
}

impl Scale {
    pub(super) fn new(window: Span) -> Self {
        let until_ms = window.until_ms.max(window.from_ms + 1);
        Self { window: Span { until_ms, ..window } }
    }

    /// The place of a point in time; what lies outside is put on the border.
    pub(super) fn x(&self, at_ms: u64) -> f64 {
        let inside = at_ms.clamp(self.window.from_ms, self.window.until_ms) - self.window.from_ms;
        LEFT + (RIGHT - LEFT) * inside as f64 / self.window.length_ms() as f64
    }

    /// The width of a span, never so small that it cannot be seen.
    pub(super) fn width(&self, span: Span) -> f64 {
        (self.x(span.until_ms) - self.x(span.from_ms)).max(1.5)
    }

    /// The end of what is shown.
    pub(super) fn until_ms(&self) -> u64 {
        self.window.until_ms
    }

    /// Whether any of the span lies inside.
    pub(super) fn shows(&self, span: Span) -> bool {
        span.from_ms < self.window.until_ms && span.until_ms > self.window.from_ms
    }

    fn step_ms(&self) -> u64 {
        let per_pixel = self.window.length_ms() as f64 / (RIGHT - LEFT);
        let wide = |step: &&u64| **step as f64 / per_pixel >= LEAST_TICK;
        STEPS.iter().find(wide).copied().unwrap_or((per_pixel * 2.0 * LEAST_TICK) as u64)
    }

    /// Ticks as seen from `zero`: place in time and text.
    fn ticks(&self, zero_ms: u64) -> Vec<(u64, String)> {
        let step = self.step_ms();
        let first = self.window.from_ms + (zero_ms % step + step - self.window.from_ms % step) % step;
        (first..=self.window.until_ms).step_by(step as usize).map(|at| (at, tick(at, zero_ms, step))).collect()
    }
}

fn tick(at_ms: u64, zero_ms: u64, step_ms: u64) -> String {
    let (sign, ms) = match at_ms < zero_ms {
        true => ("−", zero_ms - at_ms),
        false => (if at_ms == zero_ms { "" } else { "+" }, at_ms - zero_ms),
    };
    let text = match step_ms {
        0..100 => format!("{:.2} s", ms as f64 / 1_000.0),
        100..1_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        1_000..MINUTE if ms < MINUTE => format!("{} s", ms / 1_000),
        1_000..MINUTE => format!("{}:{:02} min", ms / MINUTE, ms / 1_000 % 60),
        MINUTE..HOUR if ms < HOUR => format!("{} min", ms / MINUTE),
        MINUTE..HOUR => format!("{}:{:02} h", ms / HOUR, ms / MINUTE % 60),
        _ => format!("{} h", ms / HOUR),
    };
    format!("{sign}{text}")
}

/// Vertical lines with their times below.
pub(super) fn grid(scale: &Scale, zero_ms: u64, top: f64, bottom: f64) -> Markup {
    html! {
        @for (at, text) in scale.ticks(zero_ms) {
            @let x = scale.x(at);
            line class="grid" x1=(px(x)) x2=(px(x)) y1=(px(top)) y2=(px(bottom)) {}
            text class="tick" x=(px(x.clamp(LEFT + 4.0, RIGHT - 18.0))) y=(px(bottom + 16.0)) text-anchor="middle" { (text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(from_ms: u64, until_ms: u64, zero_ms: u64) -> Vec<String> {
        Scale::new(Span { from_ms, until_ms }).ticks(zero_ms).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_numbers_seen_from_zero() {
        assert_eq!(
            texts(4_300, 8_100, 5_000),
            ["−0.5 s", "0.0 s", "+0.5 s", "+1.0 s", "+1.5 s", "+2.0 s", "+2.5 s", "+3.0 s"]
        );
        assert_eq!(
            texts(0, 14_400_000, 3_600_000),
            ["−1:00 h", "−30 min", "0 min", "+30 min", "+1:00 h", "+1:30 h", "+2:00 h", "+2:30 h", "+3:00 h"]
        );
    }

    #[test]
    fn any_window_has_a_few_ticks_and_they_keep_their_distance() {
        for exponent in 0..12 {
            let window = Span { from_ms: 12_345, until_ms: 12_345 + 3 * 10_u64.pow(exponent) };
            let scale = Scale::new(window);
            let places: Vec<f64> = scale.ticks(12_400).iter().map(|(at, _)| scale.x(*at)).collect();
            assert!(places.len() <= 11, "{exponent}: {places:?}");
            assert!(places.windows(2).all(|w| w[1] - w[0] >= LEAST_TICK - 0.1), "{exponent}: {places:?}");
            assert!(exponent < 2 || places.len() >= 3, "{exponent}: {places:?}");
        }
    }

    #[test]
    fn what_lies_outside_is_put_on_the_border() {
        let scale = Scale::new(Span { from_ms: 100, until_ms: 200 });
        assert_eq!((scale.x(0), scale.x(100), scale.x(200), scale.x(300)), (LEFT, LEFT, RIGHT, RIGHT));
        assert!(!scale.shows(Span { from_ms: 0, until_ms: 100 }));
        assert!(scale.shows(Span { from_ms: 0, until_ms: 101 }));
    }
}

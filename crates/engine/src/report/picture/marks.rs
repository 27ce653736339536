//! Turning points: numbered circles above the picture, each with a line down to its time.

use super::scale::{LEFT, RIGHT, Scale};
use crate::report::figures::px;
use crate::report::{Event, Mark};
use maud::{Markup, html};

/// Room above the picture.
pub(super) const HEIGHT: f64 = 40.0;
const RADIUS: f64 = 9.0;
const APART: f64 = 21.0;
const MIDDLE: f64 = 11.0;

/// The events that are turning points with their numbers, in order of time.
pub(in crate::report) fn numbered(events: &[Event]) -> Vec<(usize, &Event)> {
    let mut marked: Vec<&Event> = events.iter().filter(|e| e.mark.is_some()).collect();
    marked.sort_by_key(|e| e.at_ms);
    (1..).zip(marked).collect()
}

pub(super) fn draw(marks: &[&Event], scale: &Scale, bottom: f64) -> Markup {
    let places: Vec<f64> = marks.iter().map(|e| scale.x(e.at_ms)).collect();
    html! {
        @for ((number, event), (x, shown)) in (1..).zip(marks).zip(places.iter().zip(apart(&places))) {
            @let class = event.mark.map_or("", class);
            g class=(format!("mark {class}")) {
                title { (event.text) }
                path d=(format!("M{} {} L{} {} V{}", px(shown), px(MIDDLE + RADIUS), px(*x), px(HEIGHT - 4.0), px(bottom))) {}
                circle cx=(px(shown)) cy=(px(MIDDLE)) r=(px(RADIUS)) {}
                text x=(px(shown)) y=(px(MIDDLE + 4.0)) text-anchor="middle" { (number) }
            }
        }
    }
}

/// The colour family of a mark.
pub(in crate::report) fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Fault | Mark::FirstFailed | Mark::FirstSign => "harm",
        Mark::FirstGood => "good",
        Mark::Verdict | Mark::Fenced | Mark::Promoted | Mark::Routed => "act",
    }
}

/// Moves places apart until none touches its neighbour, as little as that takes, inside the picture.
fn apart(places: &[f64]) -> Vec<f64> {
    let mut moved = places.to_vec();
    for at in 1..moved.len() {
        moved[at] = moved[at].max(moved[at - 1] + APART);
    }
    let mut most = RIGHT - RADIUS;
    for place in moved.iter_mut().rev() {
        *place = place.min(most).max(LEFT - 150.0);
        most = *place - APART;
    }
    // Pull a group that was only pushed to the right back over its places.
    for at in 0..moved.len() {
        let least = if at == 0 { LEFT - 150.0 } else { moved[at - 1] + APART };
        let wanted = places[at] - APART * group_behind(&moved, at) as f64 / 2.0;
        moved[at] = moved[at].min(wanted.max(least)).max(least);
    }
    moved
}

/// How many follow so closely that they would have to move too.
fn group_behind(places: &[f64], at: usize) -> usize {
    places[at..].windows(2).take_while(|w| w[1] - w[0] < APART + 0.1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_never_touch_and_keep_their_order() {
        let cases: [&[f64]; 5] = [
            &[LEFT; 8],
            &[RIGHT; 8],
            &[300.0, 301.0, 302.0, 500.0, 501.0],
            &[300.0, 600.0, 900.0],
            &[LEFT, 940.0, 941.0, 942.0, 948.0],
        ];
        for places in cases {
            let moved = apart(places);
            assert!(moved.windows(2).all(|w| w[1] - w[0] >= APART - 0.01), "{places:?} -> {moved:?}");
            assert!(moved.iter().all(|x| (10.0..=RIGHT).contains(x)), "{places:?} -> {moved:?}");
        }
        assert_eq!(apart(&[300.0, 600.0]), [300.0, 600.0]);
    }
}

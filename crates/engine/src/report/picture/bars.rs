//! What the client saw: good requests upwards in the colour of the region that answered, failed ones downwards.

use super::scale::{LEFT, RIGHT, Scale};
use crate::report::figures::{count, px};
use crate::report::{Bucket, Span, Throughput};
use maud::{Markup, html};

/// So high is the round number of requests that nothing surpasses.
const UP: f64 = 110.0;
/// Room for the name below the line, also where little failed.
const LEAST_DOWN: f64 = 26.0;
/// More bars than this melt into one another.
const MOST_BARS: u64 = 200;
/// Buckets are put together in these numbers.
const GROUPS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 300, 600, 1_200, 3_000, 6_000, 12_000, 36_000];

/// Buckets put together so that each has a visible width.
struct Group {
    span: Span,
    acked: Vec<u64>,
    failed: u64,
}

fn groups(client: &Throughput, regions: &[String], window: Span) -> Vec<Group> {
    let shown = window.length_ms() / client.bucket_ms.max(1);
    let size = GROUPS.iter().copied().find(|size| shown / size <= MOST_BARS).unwrap_or(shown / MOST_BARS);
    let length = size * client.bucket_ms;
    let add = |(start, buckets): (u64, &[Bucket])| Group {
        span: Span { from_ms: start, until_ms: start + length },
        acked: regions.iter().map(|r| buckets.iter().filter_map(|b| b.acked.get(r)).sum()).collect(),
        failed: buckets.iter().map(|b| b.failed).sum(),
    };
    let starts = (client.from_ms..).step_by(length as usize);
    let chunks = client.buckets.chunks(size as usize);
    starts
        .zip(chunks)
        .map(add)
        .filter(|g| g.span.from_ms < window.until_ms && g.span.until_ms > window.from_ms)
        .collect()
}

/// The next 1, 2, 2.5 or 5 with zeros.
fn round_up(n: u64) -> u64 {
    let powers = std::iter::successors(Some(1_u64), |p| p.checked_mul(10));
    powers.flat_map(|p| [p, p * 2, p * 5 / 2, p * 5]).find(|round| *round >= n.max(1)).unwrap_or(n)
}

/// What is drawn, and on which scale: good and failed requests have the same, so that their heights can be compared.
pub(super) struct Bars {
    groups: Vec<Group>,
    /// So many per second are [`UP`] high.
    most: u64,
    /// How far the failed ones reach down.
    down: f64,
}

fn per_second(n: u64, span: Span) -> u64 {
    n * 1_000 / span.length_ms().max(1)
}

impl Bars {
    pub(super) fn new(client: &Throughput, regions: &[String], window: Span) -> Self {
        let groups = groups(client, regions, window);
        let rates = |n: fn(&Group) -> u64| groups.iter().map(|g| per_second(n(g), g.span)).max().unwrap_or(0);
        let (good, failed) = (rates(|g| g.acked.iter().sum()), rates(|g| g.failed));
        let most = round_up(good.max(failed));
        let down = (failed as f64 / most as f64 * UP).max(LEAST_DOWN);
        Self { groups, most, down }
    }

    pub(super) fn height(&self) -> f64 {
        UP + self.down + 20.0
    }

    fn tall(&self, n: u64, span: Span) -> f64 {
        per_second(n, span) as f64 / self.most as f64 * UP
    }
}

pub(super) fn draw(bars: &Bars, scale: &Scale, top: f64) -> Markup {
    let zero = top + 10.0 + UP;
    html! {
        text class="name" x=(px(LEFT - 10.0)) y=(px(top + 40.0)) text-anchor="end" { "good requests" }
        text class="tick" x=(px(LEFT - 10.0)) y=(px(top + 14.0)) text-anchor="end" { (count(bars.most)) " per second" }
        text class="tick" x=(px(LEFT - 10.0)) y=(px(zero + 3.5)) text-anchor="end" { "0" }
        line class="grid" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(zero - UP)) y2=(px(zero - UP)) {}
        line class="grid" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(zero - UP / 2.0)) y2=(px(zero - UP / 2.0)) {}
        @for group in &bars.groups {
            @let x = scale.x(group.span.from_ms);
            @let whole = scale.x(group.span.until_ms) - x;
            @let wide = if whole > 3.0 { whole - 0.7 } else { whole };
            @let heights = group.acked.iter().map(|n| bars.tall(*n, group.span));
            @for (colour, (below, tall)) in stack(heights).into_iter().enumerate().filter(|(_, (_, tall))| *tall > 0.0) {
                rect class=(format!("region-{}", colour % 4)) x=(px(x)) y=(px(zero - below - tall)) width=(px(wide)) height=(px(tall)) {}
            }
            @if group.failed > 0 {
                @let deep = bars.tall(group.failed, group.span).max(2.0);
                rect class="failed" x=(px(x)) y=(px(zero + 1.0)) width=(px(wide)) height=(px(deep)) {}
            }
        }
        line class="axis" x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(zero)) y2=(px(zero)) {}
        text class="name bad" x=(px(LEFT - 10.0)) y=(px(zero + 20.0)) text-anchor="end" { "failed requests" }
    }
}

/// Each height with what lies below it.
fn stack(heights: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let mut below = 0.0;
    heights
        .map(|tall| {
            let place = (below, tall);
            below += tall;
            place
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn four_hours_become_bars_that_can_be_seen_and_nothing_is_dropped() {
        let bucket = Bucket { acked: BTreeMap::from([("east".to_owned(), 20)]), failed: 1 };
        let client = Throughput { bucket_ms: 100, from_ms: 50, buckets: vec![bucket; 144_000] };
        let all = groups(&client, &["east".to_owned()], Span { from_ms: 0, until_ms: 14_400_100 });
        assert!(all.len() as u64 <= MOST_BARS + 1, "{}", all.len());
        assert_eq!(all.iter().map(|g| g.acked[0]).sum::<u64>(), 2_880_000);
        assert_eq!(all.iter().map(|g| g.failed).sum::<u64>(), 144_000);
    }

    #[test]
    fn as_many_failed_requests_are_as_high_as_good_ones() {
        let window = Span { from_ms: 0, until_ms: 3_000 };
        let bars = |good: u64, failed: u64| {
            let (up, down) = (
                Bucket { acked: BTreeMap::from([("east".to_owned(), good)]), failed: 0 },
                Bucket { failed, ..Bucket::default() },
            );
            Bars::new(&Throughput { bucket_ms: 100, from_ms: 0, buckets: vec![up, down] }, &["east".to_owned()], window)
        };
        let even = bars(20, 20);
        assert_eq!((even.most, even.down), (200, UP));
        assert_eq!(bars(20, 10).down, UP / 2.0);
        // More may fail than was ever good: nothing leaves the picture.
        let fast = bars(20, 50);
        assert_eq!((fast.most, fast.down, fast.tall(20, Span { from_ms: 0, until_ms: 100 })), (500, UP, UP * 0.4));
        assert_eq!(bars(20, 0).down, LEAST_DOWN);
    }

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!([0, 1, 3, 195, 200, 201, 600].map(round_up), [1, 1, 5, 200, 200, 250, 1_000]);
    }
}

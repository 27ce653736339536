//! A row of measurements of one thing, and how it is shown.

use super::figure::Figure;
use pilotlight_core::measure::median;
use serde::Serialize;
use std::time::Duration;

/// One case measured several times, beside its floor or its bound.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    /// What was measured.
    pub(crate) name: String,
    /// Each outage, in milliseconds.
    pub(crate) outage_ms: Vec<f64>,
    /// The floor's outages, in milliseconds.
    pub(crate) floor_ms: Vec<f64>,
    /// What is asked for, in words.
    pub(crate) target: String,
    /// The bound of the median, in milliseconds.
    pub(crate) bound_ms: f64,
    /// Acknowledged writes that were not there afterwards, all runs together.
    pub(crate) lost: u64,
}

/// Milliseconds with a fraction.
pub(crate) fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1_000.0
}

fn range(values: &[f64]) -> String {
    let Some(middle) = median(values) else { return "-".to_owned() };
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    format!("{middle:.0} ({low:.0}-{high:.0})")
}

impl Series {
    /// Measured against a bound, beside no floor.
    pub(crate) fn within(bound: Duration, target: &str, name: String, outage_ms: Vec<f64>, lost: u64) -> Self {
        Self { name, outage_ms, floor_ms: Vec::new(), target: target.to_owned(), bound_ms: ms(bound), lost }
    }

    /// Whether the median is within the bound.
    pub(crate) fn is_reached(&self) -> bool {
        median(&self.outage_ms).is_some_and(|outage| outage <= self.bound_ms)
    }

    /// As figures of another table: the outages, and what was lost.
    pub(crate) fn figures(&self) -> [Figure; 2] {
        let lost = Figure::count(format!("{}: rows lost", self.name), self.lost, self.outage_ms.len(), true);
        [Figure::at_most(self.name.clone(), &self.outage_ms, self.bound_ms), lost]
    }

    /// One line of the table.
    pub(crate) fn line(&self) -> String {
        let ratio = match (median(&self.outage_ms), median(&self.floor_ms)) {
            (Some(outage), Some(floor)) => format!("{:.2}", outage / floor),
            _ => "-".to_owned(),
        };
        let verdict = if self.is_reached() { "reached" } else { "MISSED" };
        format!(
            "{:<44} {:>3} {:>20} {:>20} {:>6} {:>6} {:>6.0}  {verdict}: {}",
            self.name,
            self.outage_ms.len(),
            range(&self.outage_ms),
            range(&self.floor_ms),
            ratio,
            self.lost,
            self.bound_ms,
            self.target
        )
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<44} {:>3} {:>20} {:>20} {:>6} {:>6} {:>6}",
        "median (min-max), ms", "n", "outage", "floor", "ratio", "lost", "bound"
    )
}

//! One figure over all repetitions, beside its target.

use pilotlight_core::measure::median;
use serde::Serialize;

/// What was measured again and again.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    unit: &'static str,
    target: String,
    pub(crate) n: usize,
    pub(crate) median: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    pub(crate) met: bool,
}

/// Without what binary fractions add.
fn shown(bound: f64) -> f64 {
    (bound * 1_000.0).round() / 1_000.0
}

impl Figure {
    fn of(name: String, values: &[f64], target: String, met: bool) -> Self {
        let least = values.iter().copied().reduce(f64::min);
        let most = values.iter().copied().reduce(f64::max);
        Self { name, unit: "ms", target, n: values.len(), median: median(values), least, most, met }
    }

    /// Its median must not be above a bound.
    pub(crate) fn at_most(name: impl Into<String>, values: &[f64], bound: f64) -> Self {
        let met = median(values).is_some_and(|m| m <= bound);
        Self::of(name.into(), values, format!("median at most {}", shown(bound)), met)
    }

    /// None of its values may be zero or less.
    pub(crate) fn positive(name: impl Into<String>, values: &[f64]) -> Self {
        let met = !values.is_empty() && values.iter().all(|v| *v > 0.0);
        Self::of(name.into(), values, "each above 0".to_owned(), met)
    }

    /// It has no target.
    pub(crate) fn shown(name: impl Into<String>, values: &[f64]) -> Self {
        Self::of(name.into(), values, "-".to_owned(), true)
    }

    /// Something that is counted over `n` rounds; with a target it must be none.
    pub(crate) fn count(name: impl Into<String>, sum: u64, n: usize, none: bool) -> Self {
        #[allow(clippy::cast_precision_loss)] // rows of a benchmark
        let count = Some(sum as f64);
        let target = if none { "0" } else { "-" }.to_owned();
        let (least, most) = (None, None);
        Self { name: name.into(), unit: "", target, n, median: count, least, most, met: !none || sum == 0 }
    }

    /// A ratio, not milliseconds.
    pub(crate) fn times(mut self) -> Self {
        self.unit = "x";
        self
    }

    /// Memory, not milliseconds.
    pub(crate) fn mebibytes(mut self) -> Self {
        self.unit = "MiB";
        self
    }

    /// The size of a file, not milliseconds.
    pub(crate) fn megabytes(mut self) -> Self {
        self.unit = "MB";
        self
    }

    /// How often in a second, not milliseconds.
    pub(crate) fn per_second(mut self) -> Self {
        self.unit = "/s";
        self
    }

    /// The line above those of figures.
    pub(crate) fn head() -> String {
        format!("{:<58} {:>4} {:>9} {:>9} {:>9}     target", "", "n", "median", "least", "most")
    }

    /// One line of the table.
    pub(crate) fn line(&self) -> String {
        let (median, least, most) = (digits(self.median), digits(self.least), digits(self.most));
        let verdict = if self.met { "" } else { "  MISSED" };
        let Self { name, n, unit, target, .. } = self;
        format!("{name:<58} {n:>4} {median:>9} {least:>9} {most:>9} {unit:<2}  {target}{verdict}")
    }
}

/// Three digits that say something.
fn digits(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(v) if v.abs() >= 100.0 || v == 0.0 => format!("{v:.0}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_by_the_median() {
        assert!(Figure::at_most("a", &[1.0, 1.2, 9.0], 1.3).met);
        let missed = Figure::at_most("a", &[1.0, 1.4, 9.0], 1.3).times();
        assert!(
            missed.line().ends_with("1.40      1.00      9.00 x   median at most 1.3  MISSED"),
            "{}",
            missed.line()
        );
        assert!(!Figure::at_most("nothing measured", &[], 1.0).met);
        assert!(!Figure::positive("a", &[3.0, 0.0]).met && !Figure::positive("a", &[]).met);
        assert!(!Figure::count("a", 1, 5, true).met && Figure::count("a", 1, 5, false).met);
    }
}

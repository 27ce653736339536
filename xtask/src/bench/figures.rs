//! Figures with their ranges, and how they stand to what was promised.

use pilotlight_core::measure::median;
use serde::Serialize;
use std::fmt;

/// One measured thing over all repetitions.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    /// The median must not be above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<f64>,
}

impl Figure {
    pub(super) fn of(name: &str, unit: &'static str, values: &[f64]) -> Self {
        let (least, most) = values.iter().fold((f64::NAN, f64::NAN), |(l, m), v| (v.min(l), v.max(m)));
        let median = median(values).unwrap_or(f64::NAN);
        Self { name: name.to_owned(), unit, median, least, most, target: None }
    }

    pub(super) fn at_most(mut self, target: f64) -> Self {
        self.target = Some(target);
        self
    }

    fn is_met(&self) -> bool {
        self.target.is_none_or(|target| self.median <= target)
    }
}

/// What a benchmark has found.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) benchmark: &'static str,
    pub(super) repetitions: usize,
    pub(super) figures: Vec<Figure>,
}

impl Table {
    pub(super) fn all_met(&self) -> bool {
        self.figures.iter().all(Figure::is_met)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} repetitions)", self.benchmark, self.repetitions)?;
        writeln!(f, "  {:<52} {:>10} {:>23}   target", "", "median", "range")?;
        for figure in &self.figures {
            let range = format!("{:.2} .. {:.2}", figure.least, figure.most);
            write!(f, "  {:<52} {:>10.2} {range:>23}", format!("{}, {}", figure.name, figure.unit), figure.median)?;
            match figure.target {
                Some(target) if figure.is_met() => writeln!(f, "   <= {target:.2}, met")?,
                Some(target) => writeln!(f, "   <= {target:.2}, MISSED")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

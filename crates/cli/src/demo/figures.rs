//! The figures of the demo: what was promised, what was measured, whether all held.

use super::FaultArg;
use pilotlight_core::measure::{self, Sample};
use pilotlight_core::plan::Objectives;
use pilotlight_core::time::{Mono, as_ms, show_duration};
use pilotlight_engine::report::Move;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// The document that `pilotlight demo --json` prints. Times in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Raised when a field changes its meaning.
    pub(crate) schema: u32,
    /// What died.
    pub(crate) fault: String,
    /// The loss of the region.
    pub(crate) failover: MoveFigures,
    /// The planned way home.
    pub(crate) switchover: SwitchFigures,
    /// What became of acknowledged payments that the failover lost.
    pub(crate) rescue: RescueFigures,
    /// What the plan promises.
    pub(crate) objectives: ObjectiveFigures,
    /// Everything that had to hold, one by one.
    pub(crate) checks: Vec<Check>,
    /// Every check held.
    pub(crate) objectives_met: bool,
    /// The HTML report.
    pub(crate) report: Option<PathBuf>,
}

/// What the plan promises.
#[derive(Debug, Serialize)]
pub(crate) struct ObjectiveFigures {
    #[serde(with = "as_ms")]
    pub(crate) rto_ms: Duration,
    #[serde(with = "as_ms")]
    pub(crate) rpo_ms: Duration,
}

/// Acknowledged payments that the new writer did not have.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RescueFigures {
    /// The rescue bundle, if there was something to keep.
    pub(crate) bundle: Option<String>,
    /// Payments that were acknowledged and missing after the failover.
    pub(crate) lost: u64,
    /// Those of them that are in the bundle.
    pub(crate) in_bundle: u64,
    /// Those of them that the writer holds at the end.
    pub(crate) applied: u64,
    /// Those of them that are neither there nor there.
    pub(crate) nowhere: u64,
}

/// An unplanned move as the outside client saw it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct MoveFigures {
    /// Whether the writer moved.
    pub(crate) happened: bool,
    /// From the first failed to the first good request; 0 when none failed.
    #[serde(with = "as_ms")]
    pub(crate) rto_ms: Duration,
    /// From the oldest to the newest acknowledged payment that was lost; 0 when none was.
    #[serde(with = "as_ms")]
    pub(crate) rpo_ms: Duration,
    /// Payments acknowledged.
    pub(crate) acked: u64,
    /// Acknowledged payments that the new writer does not hold.
    pub(crate) lost: u64,
    /// Payments that both regions acknowledged.
    pub(crate) dual_acked: u64,
    /// Payments whose answer from the old side arrived after the new side's first; decided in time or not, a client cannot tell.
    pub(crate) late_acks: u64,
    /// Payments that failed or stayed in doubt.
    pub(crate) failed: u64,
    /// The longest time without an acknowledged payment.
    #[serde(with = "as_ms")]
    pub(crate) longest_gap_ms: Duration,
    /// The RTO, split.
    pub(crate) parts: BTreeMap<String, u64>,
    /// The first lost payments.
    pub(crate) lost_ids: Vec<String>,
}

/// A planned move as the outside client saw it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct SwitchFigures {
    /// Whether the writer moved.
    pub(crate) happened: bool,
    /// From the first failed to the first good request; 0 when none failed.
    #[serde(with = "as_ms")]
    pub(crate) outage_ms: Duration,
    /// Payments acknowledged.
    pub(crate) acked: u64,
    /// Acknowledged payments that the new writer does not hold.
    pub(crate) lost: u64,
    /// Payments that both regions acknowledged.
    pub(crate) dual_acked: u64,
    /// The longest time without an acknowledged payment.
    #[serde(with = "as_ms")]
    pub(crate) longest_gap_ms: Duration,
    /// The outage, split.
    pub(crate) parts: BTreeMap<String, u64>,
}

/// One thing that had to hold.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    /// What, for people.
    pub(crate) name: String,
    /// The bound.
    pub(crate) objective: String,
    /// What was measured.
    pub(crate) measured: String,
    /// It held.
    pub(crate) held: bool,
}

impl MoveFigures {
    /// From a move of the report, that was measured by the outside client.
    pub(crate) fn of_move(one: &Move) -> Self {
        let Some(impact) = &one.impact else { return Self { happened: true, ..Self::default() } };
        let lost = impact.lost.clone().unwrap_or_default();
        Self {
            happened: true,
            rto_ms: impact.outage.map(|o| Duration::from_millis(o.length_ms())).unwrap_or_default(),
            rpo_ms: impact.lost_time_ms.map(Duration::from_millis).unwrap_or_default(),
            acked: impact.acked,
            lost: lost.count,
            dual_acked: impact.dual_acked.count,
            late_acks: impact.late_acked,
            failed: impact.failed,
            longest_gap_ms: Duration::from_millis(impact.longest_gap_ms),
            parts: impact.parts.iter().map(|part| (part.name.clone(), part.ms)).collect(),
            lost_ids: lost.first,
        }
    }

    /// From the client's log alone, of a time in which nothing moved.
    pub(crate) fn of_stillness(samples: &[Sample], held: &BTreeSet<u64>) -> Self {
        let traffic = measure::traffic(samples);
        let loss = measure::loss(samples, held);
        Self {
            happened: false,
            rto_ms: measure::rto(samples, None).map(|r| r.total_ms).unwrap_or_default(),
            rpo_ms: loss.span_ms,
            acked: loss.acked,
            lost: loss.lost.len() as u64,
            failed: traffic.failed,
            longest_gap_ms: traffic.longest_gap_ms.unwrap_or_default(),
            lost_ids: loss.lost.iter().take(50).map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// The same as a planned move.
    pub(crate) fn planned(self) -> SwitchFigures {
        SwitchFigures {
            happened: self.happened,
            outage_ms: self.rto_ms,
            acked: self.acked,
            lost: self.lost,
            dual_acked: self.dual_acked,
            longest_gap_ms: self.longest_gap_ms,
            parts: self.parts,
        }
    }
}

/// The samples that began in `from..until`.
pub(crate) fn between(samples: &[Sample], from: Mono, until: Mono) -> Vec<Sample> {
    samples.iter().filter(|s| s.start >= from && s.start < until).cloned().collect()
}

/// Holds the figures against the objectives. `fault` decides whether a failover had to happen.
pub(crate) fn checks(
    fault: FaultArg,
    objectives: &Objectives,
    failover: &MoveFigures,
    switchover: &SwitchFigures,
    rescue: &RescueFigures,
) -> Vec<Check> {
    let must_move = !fault.leaves_the_writer();
    let mut checks = vec![Check {
        name: if must_move { "the writer moved".to_owned() } else { "nothing failed over".to_owned() },
        objective: if must_move { "yes" } else { "no move" }.to_owned(),
        measured: if failover.happened { "moved" } else { "not moved" }.to_owned(),
        held: failover.happened == must_move,
    }];
    let at_most = |name: &str, bound: Duration, measured: Duration| Check {
        name: name.to_owned(),
        objective: format!("at most {}", show_duration(bound)),
        measured: show_duration(measured),
        held: measured <= bound,
    };
    let none = |name: &str, measured: u64| Check {
        name: name.to_owned(),
        objective: "none".to_owned(),
        measured: measured.to_string(),
        held: measured == 0,
    };
    if must_move {
        checks.push(at_most("failover: RTO", objectives.rto, failover.rto_ms));
        checks.push(at_most("failover: RPO in time", objectives.rpo, failover.rpo_ms));
    } else {
        checks.push(at_most("meanwhile: payments failed for", objectives.rto, failover.rto_ms));
        checks.push(at_most("meanwhile: acknowledged payments lost, in time", objectives.rpo, failover.rpo_ms));
    }
    let when = if must_move { "failover" } else { "meanwhile" };
    checks.push(none(&format!("{when}: acknowledged by both regions"), failover.dual_acked));
    checks.push(none("acknowledged, neither there nor in the bundle", rescue.nowhere));
    checks.push(at_most("switchover: outage", objectives.rto, switchover.outage_ms));
    checks.push(none("switchover: acknowledged payments lost", switchover.lost));
    checks.push(none("switchover: acknowledged by both regions", switchover.dual_acked));
    checks.push(Check {
        // Where nothing failed over the planned move leads away from home.
        name: if must_move { "switchover: the writer came home" } else { "switchover: the writer moved" }.to_owned(),
        objective: "yes".to_owned(),
        measured: match (switchover.happened, must_move) {
            (true, true) => "home",
            (true, false) => "moved",
            (false, _) => "not moved",
        }
        .to_owned(),
        held: switchover.happened,
    });
    checks
}

/// The closing table, for a terminal.
pub(crate) fn table(figures: &Figures) -> String {
    let mut out = String::new();
    let row = |a: &str, b: &str, c: &str, d: &str| format!("  {a:<46} {b:<18} {c:<16} {d}\n");
    out.push_str(&row("", "objective", "measured", ""));
    for check in &figures.checks {
        out.push_str(&row(
            &check.name,
            &check.objective,
            &check.measured,
            if check.held { "held" } else { "NOT HELD" },
        ));
    }
    let f = &figures.failover;
    let when = if f.happened { "failover" } else { "meanwhile" };
    out.push_str(&row(&format!("{when}: acknowledged payments"), "", &f.acked.to_string(), ""));
    let lost = format!("{} ({})", f.lost, show_duration(f.rpo_ms));
    out.push_str(&row(&format!("{when}: acknowledged payments lost"), "each is listed", &lost, ""));
    if f.lost > 0 {
        let first: Vec<&str> = f.lost_ids.iter().take(8).map(String::as_str).collect();
        let more = if f.lost > 8 { ", ..." } else { "" };
        out.push_str(&format!(
            "    acknowledged by east before its WAL had reached west: {}{more}\n",
            first.join(", ")
        ));
    }
    let r = &figures.rescue;
    let told = format!("lost: {}, in the bundle: {}, applied: {}", r.lost, r.in_bundle, r.applied);
    out.push_str(&format!("  {:<46} {told}\n", "rescue of acknowledged payments"));
    out.push_str(&row(&format!("{when}: failed or in doubt"), "", &f.failed.to_string(), ""));
    out.push_str(&parts_line(&format!("{when}: RTO"), f.rto_ms, &f.parts));
    out.push_str(&parts_line("switchover: outage", figures.switchover.outage_ms, &figures.switchover.parts));
    out
}

fn parts_line(name: &str, total: Duration, parts: &BTreeMap<String, u64>) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let order = measure::Part::ALL.map(|p| p.to_string());
    let text: Vec<String> = order.iter().filter_map(|p| parts.get(p).map(|ms| format!("{p} {ms}"))).collect();
    format!("  {name} {} ms = {}\n", total.as_millis(), text.join(" + "))
}

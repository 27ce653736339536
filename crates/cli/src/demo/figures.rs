//! The figures of the demo: what was promised, what was measured, whether all held.

use super::FaultArg;
use pilotlight_core::measure::{self, Sample};
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::Objectives;
use pilotlight_core::position::option_ms;
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
    /// What nobody counted may have lost more than that, but no more than this; absent where it has not.
    #[serde(with = "option_ms", skip_serializing_if = "Option::is_none")]
    pub(crate) rpo_at_most_ms: Option<Duration>,
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
    /// From a move of the report, that was measured by the outside client. `rpo_at_most` is what the report knows of others' writes.
    pub(crate) fn of_move(one: &Move, rpo_at_most: Option<u64>) -> Self {
        let Some(impact) = &one.impact else { return Self { happened: true, ..Self::default() } };
        let lost = impact.lost.clone().unwrap_or_default();
        Self {
            happened: true,
            rto_ms: impact.outage.map(|o| Duration::from_millis(o.length_ms())).unwrap_or_default(),
            rpo_ms: impact.lost_time_ms.map(Duration::from_millis).unwrap_or_default(),
            rpo_at_most_ms: rpo_at_most.map(Duration::from_millis),
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

const COUNTED_RPO: &str = "failover: RPO of the payments (counted)";

/// Where nothing failed over the planned move leads away from home.
fn planned_verb(failed_over: bool) -> Verb {
    if failed_over { Verb::Failback } else { Verb::Switchover }
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
        checks.push(at_most(COUNTED_RPO, objectives.rpo, failover.rpo_ms));
    } else {
        checks.push(at_most("meanwhile: payments failed for", objectives.rto, failover.rto_ms));
        checks.push(at_most("meanwhile: acknowledged payments lost, in time", objectives.rpo, failover.rpo_ms));
    }
    let when = if must_move { "failover" } else { "meanwhile" };
    checks.push(none(&format!("{when}: acknowledged by both regions"), failover.dual_acked));
    checks.push(none("acknowledged, neither there nor in the bundle", rescue.nowhere));
    let planned = planned_verb(must_move);
    checks.push(at_most(&format!("{planned}: outage"), objectives.rto, switchover.outage_ms));
    checks.push(none(&format!("{planned}: acknowledged payments lost"), switchover.lost));
    checks.push(none(&format!("{planned}: acknowledged by both regions"), switchover.dual_acked));
    checks.push(Check {
        name: format!("{planned}: the writer {}", if must_move { "came home" } else { "moved" }),
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
    let f = &figures.failover;
    let row = |a: &str, b: &str, c: &str, d: &str| format!("  {a:<48} {b:<18} {c:<16} {d}\n");
    out.push_str(&row("", "objective", "measured", ""));
    for check in &figures.checks {
        out.push_str(&row(
            &check.name,
            &check.objective,
            &check.measured,
            if check.held { "held" } else { "NOT HELD" },
        ));
        if let (COUNTED_RPO, Some(most)) = (check.name.as_str(), f.rpo_at_most_ms) {
            let (bound, most, held) = bound(figures.objectives.rpo_ms, most);
            out.push_str(&row("failover: RPO of anything (sentinels and lease)", &bound, &most, held));
        }
    }
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
    out.push_str(&format!("  {:<48} {told}\n", "rescue of acknowledged payments"));
    let failed = format!("{} of {}", f.failed, f.acked + f.failed);
    out.push_str(&row(&format!("{when}: failed or in doubt"), "", &failed, ""));
    out.push_str(&parts_line(&format!("{when}: RTO"), f.rto_ms, &f.parts));
    let planned = planned_verb(f.happened);
    out.push_str(&parts_line(&format!("{planned}: outage"), figures.switchover.outage_ms, &figures.switchover.parts));
    out
}

/// No check: what nobody counted may have been lost to the last moment of the bound, or not at all.
fn bound(rpo: Duration, most: Duration) -> (String, String, &'static str) {
    let (promised, known) = (show_duration(rpo), show_duration(most));
    let held = if most <= rpo { "held" } else { "perhaps not held" };
    // Two equal texts of which one is more would be no news.
    let known = if most > rpo && known == promised { format!("{} ms", most.as_millis()) } else { known };
    (format!("at most {promised}"), format!("<= {known}"), held)
}

fn parts_line(name: &str, total: Duration, parts: &BTreeMap<String, u64>) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let order = measure::Part::ALL.map(|p| p.to_string());
    let text: Vec<String> = order.iter().filter_map(|p| parts.get(p).map(|ms| format!("{p} {ms} ms"))).collect();
    format!("  {name} {} ms = {}\n", total.as_millis(), text.join(" + "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::Plan;

    fn told(fault: FaultArg, rpo_at_most_ms: Option<u64>) -> String {
        let plan = Plan::read(pilotlight_core::plan::SAMPLE, "sample.yaml").expect("the sample plan has no fault");
        let failover = MoveFigures {
            happened: !fault.leaves_the_writer(),
            acked: 1_333,
            failed: 807,
            rto_ms: Duration::from_millis(3_300),
            rpo_at_most_ms: rpo_at_most_ms.map(Duration::from_millis),
            parts: [("detect".to_owned(), 3_173), ("fence".to_owned(), 127)].into(),
            ..MoveFigures::default()
        };
        let (switchover, rescue) = (SwitchFigures { happened: true, ..Default::default() }, RescueFigures::default());
        let checks = checks(fault, &plan.objectives, &failover, &switchover, &rescue);
        table(&Figures {
            schema: 1,
            fault: String::new(),
            objectives_met: checks.iter().all(|c| c.held),
            failover,
            switchover,
            rescue,
            objectives: ObjectiveFigures { rto_ms: plan.objectives.rto, rpo_ms: plan.objectives.rpo },
            checks,
            report: None,
        })
    }

    fn line<'a>(table: &'a str, name: &str) -> Option<Vec<&'a str>> {
        let found = table.lines().find_map(|line| line.trim_start().strip_prefix(name));
        found.map(|rest| rest.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect())
    }

    #[test]
    fn what_was_counted_and_what_nobody_counted_have_a_line_each() {
        let bound = |ms| {
            line(&told(FaultArg::Region, ms), "failover: RPO of anything (sentinels and lease)").map(|l| l.join(", "))
        };
        assert_eq!(bound(Some(2_300)).as_deref(), Some("at most 5.0 s, <= 2.3 s, held"));
        assert_eq!(bound(Some(5_001)).as_deref(), Some("at most 5.0 s, <= 5001 ms, perhaps not held"));
        assert_eq!(bound(None), None);
        let table = told(FaultArg::Region, Some(2_300));
        assert_eq!(
            line(&table, "failover: RPO of the payments (counted)"),
            Some(vec!["at most 5.0 s", "0 ms", "held"])
        );
        assert_eq!(line(&table, "failover: failed or in doubt"), Some(vec!["807 of 2140"]));
        assert!(table.contains("failover: RTO 3300 ms = detect 3173 ms + fence 127 ms"), "{table}");
    }

    #[test]
    fn the_planned_move_is_called_what_it_is() {
        let (home, away) = (told(FaultArg::Region, None), told(FaultArg::Agent, None));
        assert!(home.contains("failback: the writer came home") && !home.contains("switchover"), "{home}");
        assert!(away.contains("switchover: the writer moved") && !away.contains("failback"), "{away}");
    }
}

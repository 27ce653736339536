//! The rounds as a table: each figure beside its target, and how the guard gaps are spread.

use super::beside::{self, Beside};
use super::case::{Case, Expect};
use super::judge::Round;
use super::{Measured, OURS, Order};
use crate::bench::figure::Figure;
use pilotlight_core::measure::median;
use serde::Serialize;

/// Everything, as it is written to a file.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    net: String,
    guarantee: String,
    lease_ms: u64,
    lanes: usize,
    /// Mean load of the machine at the faults.
    load: f64,
    figures: Vec<Figure>,
    /// Ours beside the peers, case by case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    beside: Vec<Beside>,
    /// The peers that were asked for and are here, with their versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peers: Vec<String>,
    /// What must not happen and did, round by round.
    wrong: Vec<String>,
    rounds: Vec<Round>,
}

/// Upper ends of the histogram's columns, in milliseconds: at the usual lease about a second is what is planned, and three are
/// the whole outage of a gate that decided nothing after the fault.
const COLUMNS: [f64; 10] = [0.0, 250.0, 500.0, 800.0, 1_000.0, 1_100.0, 1_250.0, 1_600.0, 2_700.0, f64::INFINITY];
/// Users notice a silence that is longer.
const NOTICED_MS: f64 = 200.0;

impl Table {
    /// From the rounds.
    pub(crate) fn of(order: &Order, measured: Measured) -> Self {
        let all = measured.rounds;
        let (rounds, others): (Vec<&Round>, Vec<&Round>) = all.iter().partition(|round| round.of == OURS);
        let mut figures = Vec::new();
        for (case, _) in order.cases.iter().filter(|(case, _)| !case.is_apart()) {
            let of_case: Vec<&Round> =
                rounds.iter().copied().filter(|r| r.case == case.name() && r.failed.is_none()).collect();
            figures.extend(of(*case, &of_case, order.lease.as_secs_f64() * 1_000.0));
        }
        let wrong = rounds.iter().filter_map(|r| {
            let case = order.cases.iter().map(|(case, _)| *case).find(|case| case.name() == r.case);
            let why = case.map_or(Some("nobody asked for it".to_owned()), |case| r.wrong(case))?;
            Some(format!("{} {}: {why}", r.case, r.n))
        });
        // A peer may do what it likes, but a round of it that came to no end is no result.
        let no_result =
            others.iter().filter_map(|r| Some(format!("{} {} {}: {}", r.of, r.case, r.n, r.failed.as_ref()?)));
        let wrong = wrong.chain(no_result).collect();
        if !rounds.is_empty() {
            let count = |name: &str, none: bool, of: &dyn Fn(&Round) -> u64| {
                Figure::count(name, rounds.iter().copied().map(of).sum(), rounds.len(), none)
            };
            figures.extend([
                count("rows acknowledged by two writers", true, &|r| r.dual),
                count("rows in flight when their machine paused", false, &|r| r.in_flight),
                count("rows in neither the new side nor a bundle", true, &|r| r.missing),
                count("transactions in a bundle whose rows were not read", false, &|r| r.unread),
                count("looks at the name without an address", true, &|r| r.empty_names),
            ]);
        }
        figures.extend(measured.figures);
        let loads: Vec<f64> = rounds.iter().map(|r| r.load).collect();
        Self {
            net: measured.net,
            guarantee: order.guarantee.to_owned(),
            lease_ms: u64::try_from(order.lease.as_millis()).unwrap_or(u64::MAX),
            lanes: order.lanes,
            load: median(&loads).unwrap_or_default(),
            beside: if others.is_empty() { Vec::new() } else { beside::of(&all) },
            peers: order.peers.iter().map(|(peer, version)| format!("{}: {version}", peer.name())).collect(),
            wrong,
            figures,
            rounds: all,
        }
    }

    /// Every figure meets its target and nothing happened that must not.
    pub(crate) fn all_met(&self) -> bool {
        self.wrong.is_empty() && self.figures.iter().all(|f| f.met)
    }
}

/// The figures of one case.
fn of(case: Case, rounds: &[&Round], lease_ms: f64) -> Vec<Figure> {
    let name = case.name();
    let outage: Vec<f64> = rounds.iter().filter_map(|r| r.outage_ms).collect();
    let gap: Vec<f64> = rounds.iter().filter_map(|r| r.gap_ms).collect();
    let thaw: Vec<f64> = rounds.iter().filter_map(|r| r.thaw_gap_ms).collect();
    let silence: Vec<f64> = rounds.iter().map(|r| r.silence_ms).collect();
    let bound = 1.1 * lease_ms + 500.0;
    match case.expects() {
        Expect::Holds => {
            let mut figures = vec![Figure::at_most(format!("{name}: longest silence"), &silence, NOTICED_MS)];
            let commit: Vec<f64> = rounds.iter().filter_map(|r| r.commit_ms).collect();
            figures.extend((case == Case::Slow).then(|| Figure::shown(format!("{name}: a commit"), &commit)));
            figures
        }
        Expect::Stays => vec![Figure::shown(format!("{name}: longest silence"), &silence)],
        Expect::Moves if case == Case::Switchover => {
            let mut figures = vec![Figure::shown(format!("{name}: outage"), &outage)];
            figures.extend(old_clients(&name, rounds));
            figures
        }
        Expect::Moves => {
            let outage = match case {
                Case::Cut | Case::Freeze => Figure::at_most(format!("{name}: outage"), &outage, bound),
                _ => Figure::shown(format!("{name}: outage"), &outage),
            };
            let part = |what: &str, of: fn(&Round) -> Option<f64>| {
                let values: Vec<f64> = rounds.iter().filter_map(|r| of(r)).collect();
                (!values.is_empty()).then(|| Figure::shown(format!("{name}: {what} after"), &values))
            };
            let parts = [part("decided", |r| r.decided_ms), part("promoted", |r| r.promoted_ms)];
            let mut figures = vec![outage];
            figures.extend(parts.into_iter().flatten());
            figures.push(Figure::positive(format!("{name}: guard gap"), &gap));
            if !thaw.is_empty() {
                figures.push(Figure::positive(format!("{name}: guard gap after the thaw"), &thaw));
            }
            figures.extend(old_clients(&name, rounds));
            figures
        }
    }
}

/// When clients with old connections were cut off and moved, where a fence of the connections stands.
fn old_clients(name: &str, rounds: &[&Round]) -> Vec<Figure> {
    let values = |of: fn(&Round) -> Option<f64>| rounds.iter().filter_map(|r| of(r)).collect::<Vec<_>>();
    let (cut, moved, gap) = (values(|r| r.cut_ms), values(|r| r.moved_ms), values(|r| r.old_client_gap_ms));
    let mut figures = Vec::new();
    if !cut.is_empty() {
        figures.push(Figure::shown(format!("{name}: old clients cut after"), &cut));
        figures.push(Figure::shown(format!("{name}: clients moved after"), &moved));
    }
    if !gap.is_empty() {
        figures.push(Figure::positive(format!("{name}: guard gap of old clients"), &gap));
    }
    let kept = |what: &str, of: fn(&Round) -> Option<u64>| {
        let rows = rounds.iter().filter_map(|r| of(r)).reduce(|a, b| a + b)?;
        Some(Figure::count(format!("{name}: rows of old clients {what}"), rows, rounds.len(), false))
    };
    figures.extend(kept("that the new side lacks", |r| r.old_client_lost));
    figures.extend(kept("in no bundle either", |r| r.old_client_missing));
    figures
}

/// For people.
pub(crate) fn show(table: &Table) -> String {
    let mut text = format!(
        "guarantee {}, lease {} ms, {}, {} lanes, load {:.1}\n\n{}\n",
        table.guarantee,
        table.lease_ms,
        table.net,
        table.lanes,
        table.load,
        Figure::head()
    );
    for figure in &table.figures {
        text.push_str(&figure.line());
        text.push('\n');
    }
    if table.rounds.is_empty() {
        return text;
    }
    let ours: Vec<&Round> = table.rounds.iter().filter(|round| round.of == OURS).collect();
    text.push_str(&spread(&ours));
    text.push_str(&beside::show(&table.beside, &table.peers));
    for line in &table.wrong {
        text.push_str(&format!("WRONG {line}\n"));
    }
    text
}

/// How many gaps lie where, per case.
fn spread(rounds: &[&Round]) -> String {
    let mut names: Vec<&str> = rounds.iter().map(|r| r.case.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let heads = COLUMNS.map(|end| if end.is_finite() { format!("<={end:.0}") } else { "more".to_owned() });
    let mut text = format!("\n{:<22}", "guard gaps, ms");
    heads.iter().for_each(|head| text.push_str(&format!("{head:>7}")));
    text.push('\n');
    for name in names {
        let gaps: Vec<f64> = rounds
            .iter()
            .filter(|r| r.case == name)
            .filter_map(|r| r.thaw_gap_ms.into_iter().chain(r.gap_ms).reduce(f64::min))
            .collect();
        if gaps.is_empty() {
            continue;
        }
        text.push_str(&format!("{name:<22}"));
        let mut from = f64::NEG_INFINITY;
        for end in COLUMNS {
            let count = gaps.iter().filter(|gap| **gap > from && **gap <= end).count();
            text.push_str(&format!("{:>7}", if count == 0 { ".".to_owned() } else { count.to_string() }));
            from = end;
        }
        text.push('\n');
    }
    text
}

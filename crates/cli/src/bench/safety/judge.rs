//! From what two clients saw to the figures of a round. Pure.
//!
//! A client sees when an acknowledgement arrives, not when it was decided. One that arrives late counts as decided in time
//! only if the new side holds its row: then the candidate had confirmed it before it was promoted. A late one whose row
//! the new side does not hold was decided by the old side, and counts where it arrived. One exception is counted apart:
//! a machine that pauses as a whole may hold a confirmation that was given before the pause and is delivered after it.
//! Such a row was sent before the pause; a row that was sent later is never excused.

use super::case::{Case, Expect};
use super::kept::Kept;
use pilotlight_core::measure::median;
use pilotlight_core::time::Mono;
use pilotlight_lab::writer::{Ack, Log};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// What there is to judge.
pub(crate) struct Seen<'a> {
    /// When the fault was made.
    pub(crate) at: Mono,
    /// When the writers were stopped.
    pub(crate) until: Mono,
    /// What was frozen went on.
    pub(crate) thawed: Option<Mono>,
    /// The whole machine stopped, server and gate alike.
    pub(crate) paused: Option<Mono>,
    /// The old writer's number among B's servers.
    pub(crate) old: usize,
    /// The old side is the writer in the end, although the other one wrote: what it holds excuses nothing.
    pub(crate) back: bool,
    /// The writer beside the old writer; all its acknowledgements are the old side's.
    pub(crate) a: &'a Log,
    /// The users' writer.
    pub(crate) b: &'a Log,
    /// The client with a connection that waives the wait, beside the old writer too.
    pub(crate) old_client: Option<&'a Log>,
    /// Rows that the writer holds at the end.
    pub(crate) held: &'a BTreeSet<i64>,
    /// What was kept before the old writer was rewound.
    pub(crate) kept: &'a Kept,
}

/// One round. Times in milliseconds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Round {
    /// Whose pair: `pilotlight`, or a peer.
    pub(crate) of: String,
    /// The case as it is typed.
    pub(crate) case: String,
    /// Which of its rounds, from 0 on.
    pub(crate) n: u32,
    /// More of what was done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    /// The other side acknowledged writes afterwards.
    pub(crate) moved: bool,
    /// From B's last acknowledgement by the old side to its first by the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outage_ms: Option<f64>,
    /// From the fault to the start of the failover, by the run's own records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decided_ms: Option<f64>,
    /// From the fault to the end of its promotion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promoted_ms: Option<f64>,
    /// The first acknowledgement by the new side less the last decision of the old one, before anything thawed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gap_ms: Option<f64>,
    /// The same with everything that the old side acknowledged after the thaw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thaw_gap_ms: Option<f64>,
    /// From the fault until the old client's connection was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cut_ms: Option<f64>,
    /// From the fault to B's first acknowledgement by the new side: clients that know both are moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) moved_ms: Option<f64>,
    /// The first acknowledgement by the new side less the last answer to the old client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) old_client_gap_ms: Option<f64>,
    /// How often the old client was turned away at the old address after the cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) turned_away: Option<u64>,
    /// The longest time without an acknowledgement to B, from the fault to the end of the round.
    pub(crate) silence_ms: f64,
    /// Median time from sending a row to its acknowledgement to B, of rows that were sent after the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit_ms: Option<f64>,
    /// Acknowledgements of the old side that arrived after the new side's first, whose rows the new side holds.
    pub(crate) late: u64,
    /// The same, of rows that the new side does not hold: two writers.
    pub(crate) dual: u64,
    /// The same, of rows that were on their way when the whole machine paused.
    pub(crate) in_flight: u64,
    /// The quickest commit of B's that was sent in the later half of the round: what every commit waits for shows in it too,
    /// what a busy machine does to some of them does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quickest_ms: Option<f64>,
    /// Rows of the old client that were acknowledged and that the writer does not hold at the end: its session asked nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) old_client_lost: Option<u64>,
    /// Those of them that are in no rescue bundle either. What the server had not written when it was killed is nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) old_client_missing: Option<u64>,
    /// Acknowledged rows, the old client's left out.
    pub(crate) acked: u64,
    /// Acknowledged rows that the writer does not hold at the end.
    pub(crate) lost: u64,
    /// Those of them that are in no rescue bundle either.
    pub(crate) missing: u64,
    /// Transactions in rescue bundles of which no row was read; those of the server's own housekeeping are among them.
    pub(crate) unread: u64,
    /// Looks at the name that found no address.
    pub(crate) empty_names: u64,
    /// The writer's server is not the process that it was before.
    pub(crate) restarted: bool,
    /// The load of the machine when the fault was made.
    pub(crate) load: f64,
    /// Why the round is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

impl Round {
    /// A round that came to no end.
    pub(crate) fn failed(case: Case, n: u32, why: &dyn std::fmt::Display) -> Self {
        Self { case: case.name(), n, failed: Some(why.to_string()), ..Self::default() }
    }

    /// For people, while it goes on.
    pub(crate) fn line(&self, lane: usize) -> String {
        let ms = |what: &str, value: Option<f64>| value.map_or_else(String::new, |v| format!(", {what} {v:.0} ms"));
        let Self { of, case, n, detail, acked, lost, missing, late, dual, in_flight, .. } = self;
        if let Some(why) = &self.failed {
            return format!("lane {lane} {of} {case} {n}: FAILED, {why}");
        }
        format!(
            "lane {lane} {of} {case} {n}{}{detail}: {}{}{}{}{}{}{}{}{}{}, longest silence {:.0} ms, {acked} acknowledged, {lost} lost, \
             {missing} missing, {late} late, {in_flight} in flight, {dual} by two",
            if detail.is_empty() { "" } else { ", " },
            if self.moved { "moved" } else { "stayed" },
            ms("outage", self.outage_ms),
            ms("decided after", self.decided_ms),
            ms("promoted after", self.promoted_ms),
            ms("guard gap", self.gap_ms),
            ms("after the thaw", self.thaw_gap_ms),
            ms("old client cut after", self.cut_ms),
            ms("clients moved after", self.moved_ms),
            ms("guard gap of the old client", self.old_client_gap_ms),
            ms("a commit", self.commit_ms),
            self.silence_ms
        )
    }

    /// What is wrong with it, whatever was measured: nothing of this may ever happen.
    pub(crate) fn wrong(&self, case: Case) -> Option<String> {
        let expects = case.expects();
        if let Some(why) = &self.failed {
            return Some(why.clone());
        }
        let gaps = [self.gap_ms, self.thaw_gap_ms];
        let negative = gaps.iter().flatten().any(|gap| *gap <= 0.0);
        let wrong = [
            (self.dual > 0 || negative, "the old side acknowledged after the new one"),
            (
                self.old_client_gap_ms.is_some_and(|gap| gap <= 0.0),
                "an old client was answered after the new side wrote",
            ),
            (self.moved && self.turned_away.is_some() && self.cut_ms.is_none(), "an old client was not cut off"),
            (self.empty_names > 0, "the name was empty"),
            (self.moved && expects != Expect::Moves, "the writer was moved"),
            (!self.moved && expects == Expect::Moves, "the writer was not moved"),
            (self.restarted && expects == Expect::Holds, "the writer was fenced or restarted"),
            (self.lost > 0 && case.loses_nothing(), "rows were lost although nothing was"),
            (self.acked == 0, "nothing was acknowledged"),
        ];
        wrong.iter().find(|(is, _)| *is).map(|(_, text)| (*text).to_owned())
    }
}

/// Judges a round.
pub(crate) fn judge(seen: &Seen<'_>) -> Round {
    let by_old = |ack: &&Ack| ack.server == seen.old;
    let new: Vec<&Ack> = seen.b.acks.iter().filter(|a| !by_old(a)).collect();
    let mut old: Vec<&Ack> = seen.a.acks.iter().chain(seen.b.acks.iter().filter(by_old)).collect();
    old.sort_by_key(|ack| ack.acked);
    let first_new = new.first().map(|a| a.acked);
    let excused = |ack: &Ack| !seen.back && seen.held.contains(&ack.id);
    let is_late = |ack: &Ack| first_new.is_some_and(|first| ack.acked > first);
    let late = old.iter().filter(|a| is_late(a) && excused(a)).count() as u64;
    let was_on_its_way = |ack: &Ack| seen.paused.is_some_and(|at| ack.sent <= at);
    let unheld = |a: &&&Ack| is_late(a) && !excused(a);
    let in_flight = old.iter().filter(unheld).filter(|a| was_on_its_way(a)).count() as u64;
    let dual = old.iter().filter(unheld).filter(|a| !was_on_its_way(a)).count() as u64;
    let in_time = |a: &Ack| !is_late(a) || !excused(a) && !was_on_its_way(a);
    let decisions: Vec<&&Ack> = old.iter().filter(|a| in_time(a)).collect();
    let gap = |until: Option<Mono>| {
        let last = decisions.iter().rev().find(|a| until.is_none_or(|until| a.acked <= until))?;
        Some(signed_ms(last.acked, first_new?))
    };
    let before = seen.b.acks.iter().rfind(|a| first_new.is_none_or(|first| a.acked < first));
    let after = |at: Mono| signed_ms(seen.at, at);
    let cut = seen.old_client.and_then(|log| log.cuts.iter().find(|cut| **cut >= seen.at));
    // A machine that pauses as a whole is covered by no fence.
    let last = seen.old_client.filter(|_| seen.paused.is_none()).and_then(|log| log.acks.last());
    let lost = |ack: &&Ack| !seen.held.contains(&ack.id);
    let missing = |ack: &&Ack| lost(ack) && !seen.kept.rows.contains(&ack.id);
    let all = || seen.a.acks.iter().chain(&seen.b.acks);
    let waived = |of: &dyn Fn(&&Ack) -> bool| Some(seen.old_client?.acks.iter().filter(of).count() as u64);
    let after_it = seen.b.acks.iter().filter(|a| a.sent >= seen.at);
    let took: Vec<f64> = after_it.map(|a| signed_ms(a.sent, a.acked)).collect();
    let half = seen.at + seen.until.since(seen.at) / 2;
    let later = seen.b.acks.iter().filter(|a| a.sent >= half).map(|a| signed_ms(a.sent, a.acked));
    Round {
        moved: first_new.is_some(),
        outage_ms: first_new.zip(before).map(|(first, last)| signed_ms(last.acked, first)),
        gap_ms: gap(seen.thawed),
        thaw_gap_ms: seen.thawed.and_then(|_| gap(None)),
        cut_ms: cut.map(|at| after(*at)),
        moved_ms: seen.old_client.and(first_new).map(after),
        old_client_gap_ms: last.zip(first_new).map(|(last, first)| signed_ms(last.acked, first)),
        turned_away: seen.old_client.map(|log| log.turned_away),
        silence_ms: silence(seen.b, seen.at, seen.until).as_secs_f64() * 1_000.0,
        commit_ms: median(&took),
        quickest_ms: later.reduce(f64::min),
        late,
        dual,
        in_flight,
        acked: all().count() as u64,
        lost: all().filter(lost).count() as u64,
        missing: all().filter(missing).count() as u64,
        old_client_lost: waived(&lost),
        old_client_missing: waived(&missing),
        unread: seen.kept.unread,
        ..Round::default()
    }
}

fn signed_ms(from: Mono, to: Mono) -> f64 {
    (to.0.as_secs_f64() - from.0.as_secs_f64()) * 1_000.0
}

/// The longest time without an acknowledgement, the end of the round included.
fn silence(log: &Log, from: Mono, until: Mono) -> Duration {
    let last = log.acks.iter().rev().find(|a| a.acked <= until).map_or(from, |a| a.acked.max(from));
    log.longest_gap(from).max(until.since(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(id: i64, server: usize, ms: u64) -> Ack {
        let acked = Mono(Duration::from_millis(ms));
        Ack { id, server, sent: acked, acked }
    }

    fn log(acks: &[Ack]) -> Log {
        Log { acks: acks.to_vec(), ..Log::default() }
    }

    /// A fault after a tenth of a second, judged at that moment.
    fn seen<'a>((a, b): (&'a Log, &'a Log), held: &'a BTreeSet<i64>, kept: &'a Kept) -> Seen<'a> {
        let at = Mono(Duration::from_millis(100));
        Seen { at, until: at, thawed: None, paused: None, old: 0, back: false, a, b, old_client: None, held, kept }
    }

    fn round(a: &[Ack], b: &[Ack], held: &[i64], thawed: Option<u64>) -> Round {
        let (a, b) = (log(a), log(b));
        let held = held.iter().copied().collect();
        let until = Mono(Duration::from_millis(5_000));
        let thawed = thawed.map(|ms| Mono(Duration::from_millis(ms)));
        judge(&Seen { until, thawed, ..seen((&a, &b), &held, &Kept::default()) })
    }

    #[test]
    fn the_gap_is_from_the_last_decision_of_the_old_side() {
        let a = [ack(1, 0, 90), ack(2, 0, 2_900)];
        let b = [ack(10, 0, 95), ack(11, 1, 3_200), ack(12, 1, 4_990)];
        let round = round(&a, &b, &[1, 10, 11, 12], None);
        assert_eq!((round.gap_ms.map(f64::round), round.outage_ms.map(f64::round)), (Some(300.0), Some(3_105.0)));
        assert_eq!((round.lost, round.missing, round.dual, round.late), (1, 1, 0, 0));
        assert_eq!(round.wrong(Case::Cut), None);
    }

    #[test]
    fn a_late_acknowledgement_of_a_row_that_the_new_side_holds_was_decided_in_time() {
        let a = [ack(1, 0, 90), ack(2, 0, 4_000)];
        let b = [ack(11, 1, 3_200)];
        let in_time = round(&a, &b, &[1, 2, 11], Some(3_900));
        assert_eq!((in_time.late, in_time.dual), (1, 0));
        assert_eq!(in_time.thaw_gap_ms.map(f64::round), Some(3_110.0));
        let two_writers = round(&a, &b, &[1, 11], Some(3_900));
        assert_eq!((two_writers.late, two_writers.dual), (0, 1));
        assert_eq!(
            (two_writers.gap_ms.map(f64::round), two_writers.thaw_gap_ms.map(f64::round)),
            (Some(3_110.0), Some(-800.0))
        );
        assert!(two_writers.wrong(Case::Cut).is_some());
    }

    #[test]
    fn what_the_old_side_holds_excuses_nothing_when_it_is_the_writer_in_the_end() {
        let (a, b) = (log(&[ack(1, 0, 90), ack(2, 0, 4_000)]), log(&[ack(11, 1, 3_200)]));
        let (held, kept) = (BTreeSet::from([1, 2]), Kept::default());
        let of = |back: bool| {
            let round = judge(&Seen { back, ..seen((&a, &b), &held, &kept) });
            (round.late, round.dual, round.lost, round.gap_ms.map(f64::round))
        };
        assert_eq!(of(true), (0, 1, 1, Some(-800.0)));
        assert_eq!(of(false), (1, 0, 1, Some(3_110.0)));
    }

    #[test]
    fn what_a_bundle_holds_is_lost_but_not_missing() {
        let (a, b) = (log(&[ack(1, 0, 90), ack(2, 0, 99), ack(3, 0, 110)]), log(&[ack(11, 1, 3_200)]));
        let held = BTreeSet::from([1, 11]);
        let of = |kept: &Kept| {
            let round = judge(&seen((&a, &b), &held, kept));
            (round.lost, round.missing)
        };
        assert_eq!(of(&Kept::default()), (2, 2));
        assert_eq!(of(&Kept { rows: BTreeSet::from([2]), unread: 0 }), (2, 1));
        assert_eq!(of(&Kept { rows: BTreeSet::from([2]), unread: 5 }), (2, 1), "what was not read excuses nothing");
    }

    #[test]
    fn only_what_was_sent_before_a_pause_of_the_machine_was_in_flight() {
        let (a, b) =
            (log(&[Ack { sent: Mono(Duration::from_millis(90)), ..ack(1, 0, 4_000) }]), log(&[ack(11, 1, 3_200)]));
        let (held, kept) = (BTreeSet::from([11]), Kept::default());
        let of = |paused: Option<u64>| {
            let paused = paused.map(|ms| Mono(Duration::from_millis(ms)));
            let round = judge(&Seen { paused, ..seen((&a, &b), &held, &kept) });
            (round.in_flight, round.dual)
        };
        assert_eq!(of(Some(95)), (1, 0));
        assert_eq!(of(Some(80)), (0, 1), "sent after the pause");
        assert_eq!(of(None), (0, 1), "only the gate or the agent was frozen: no excuse");
    }

    #[test]
    fn an_old_client_is_cut_off_before_the_new_side_writes() {
        let (a, b) = (log(&[ack(1, 0, 90)]), log(&[ack(10, 0, 95), ack(11, 1, 3_200)]));
        let (at, kept, held) = (Mono(Duration::from_millis(100)), Kept::default(), BTreeSet::from([1, 10, 11]));
        let of = |acks: &[Ack], cuts: &[u64], paused: Option<Mono>| {
            let cuts = cuts.iter().map(|ms| Mono(Duration::from_millis(*ms))).collect();
            let client = Log { cuts, turned_away: 7, ..log(acks) };
            let old_client = Some(&client);
            judge(&Seen { paused, old_client, ..seen((&a, &b), &held, &kept) })
        };
        let cut = of(&[ack(1, 0, 90), ack(2, 0, 2_900)], &[50, 2_950], None);
        let times = [cut.cut_ms, cut.moved_ms, cut.old_client_gap_ms].map(|ms| ms.map(f64::round));
        assert_eq!((times, cut.turned_away), ([Some(2_850.0), Some(3_100.0), Some(300.0)], Some(7)));
        assert_eq!(
            (cut.old_client_lost, cut.old_client_missing, cut.lost),
            (Some(1), Some(1), 0),
            "its row 2 is nowhere"
        );
        assert_eq!(cut.wrong(Case::Cut), None);
        let answered = of(&[ack(1, 0, 90), ack(2, 0, 3_300)], &[3_310], None);
        assert!(answered.wrong(Case::Cut).is_some_and(|why| why.contains("answered")));
        assert!(of(&[ack(1, 0, 90)], &[50], None).wrong(Case::Cut).is_some_and(|why| why.contains("not cut")));
        let paused = of(&[ack(1, 0, 90), ack(2, 0, 3_300)], &[3_310], Some(at));
        assert_eq!(paused.wrong(Case::Cut), None, "no fence covers that");
    }

    #[test]
    fn a_planned_move_may_lose_nothing_whatever_was_kept() {
        let round = round(&[ack(1, 0, 90)], &[ack(11, 1, 3_200)], &[11], None);
        assert_eq!((round.lost, round.wrong(Case::Cut)), (1, None));
        assert!(round.wrong(Case::Switchover).is_some_and(|why| why.contains("lost")));
    }

    #[test]
    fn the_quickest_commit_is_looked_for_when_the_fault_has_long_been_made() {
        let took = |id, sent: u64, ms: u64| Ack { sent: Mono(Duration::from_millis(sent)), ..ack(id, 0, sent + ms) };
        let (a, held, kept) = (log(&[]), BTreeSet::new(), Kept::default());
        let b = log(&[took(1, 110, 2), took(2, 2_000, 3), took(3, 3_000, 610), took(4, 4_000, 605)]);
        let round = judge(&Seen { until: Mono(Duration::from_millis(5_000)), ..seen((&a, &b), &held, &kept) });
        assert_eq!(round.quickest_ms.map(f64::round), Some(605.0));
    }

    #[test]
    fn silence_until_the_end_counts() {
        let round = round(&[], &[ack(1, 0, 50), ack(2, 0, 150)], &[1, 2], None);
        assert!(!round.moved);
        assert!((round.silence_ms - 4_850.0).abs() < 1e-6, "{}", round.silence_ms);
        assert!(round.wrong(Case::Cut).is_some());
    }
}

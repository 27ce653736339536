//! What every journal must do. Each implementation runs [`all`] in its tests.

use super::{AppendError, Journal};
use pilotlight_core::id::RunId;
use pilotlight_core::run::Event;
use pilotlight_core::time::Wall;
use std::future::Future;

fn paused(n: u64) -> (Wall, Event) {
    (Wall(n), Event::Paused { by: "ada".into(), why: format!("reason {n}") })
}

/// Why nothing in a battery fails but what is tested.
const WELL: &str = "a journal that is well answers";

/// Runs every test on a fresh journal.
pub async fn all<J: Journal, F: Future<Output = J>>(fresh: impl Fn() -> F) {
    records_come_back_in_order(&fresh().await).await;
    a_number_is_taken_only_once(&fresh().await).await;
    a_batch_is_all_or_nothing(&fresh().await).await;
    gaps_are_refused(&fresh().await).await;
    of_two_appends_at_once_one_wins(&fresh().await).await;
    a_long_run_is_read_from_anywhere(&fresh().await).await;
    names_of_runs_that_resemble_each_other_are_kept_apart(&fresh().await).await;
}

async fn records_come_back_in_order(journal: &impl Journal) {
    let (a, b) = (RunId::from("a"), RunId::from("b"));
    journal.append(&b, 1, vec![paused(1)]).await.expect(WELL);
    journal.append(&a, 1, vec![paused(1), paused(2)]).await.expect(WELL);
    journal.append(&a, 3, vec![paused(3)]).await.expect(WELL);
    let seqs = |records: Vec<pilotlight_core::run::Record>| records.iter().map(|r| r.seq).collect::<Vec<_>>();
    let records = journal.read(&a, 1, usize::MAX).await.expect(WELL);
    assert_eq!(records[1].event, paused(2).1);
    assert_eq!(records[1].at, Wall(2));
    assert_eq!(seqs(records), [1, 2, 3]);
    assert_eq!(seqs(journal.read(&a, 2, 1).await.expect(WELL)), [2]);
    assert_eq!(seqs(journal.read(&a, 4, 9).await.expect(WELL)), [0; 0]);
    assert_eq!(seqs(journal.read(&"nobody".into(), 1, 9).await.expect(WELL)), [0; 0]);
    assert_eq!(journal.heads().await.expect(WELL), [(a, 3), (b, 1)]);
}

async fn a_number_is_taken_only_once(journal: &impl Journal) {
    let run = RunId::from("a");
    journal.append(&run, 1, vec![paused(1), paused(2)]).await.expect(WELL);
    for first in [1, 2] {
        let error = journal.append(&run, first, vec![paused(9)]).await.expect_err("it must be refused");
        assert!(matches!(error, AppendError::Taken { .. }), "{error:?}");
    }
    assert_eq!(journal.read(&run, 1, 9).await.expect(WELL).len(), 2);
}

async fn a_batch_is_all_or_nothing(journal: &impl Journal) {
    let run = RunId::from("a");
    journal.append(&run, 1, vec![paused(1), paused(2)]).await.expect(WELL);
    assert!(journal.append(&run, 2, vec![paused(8), paused(9)]).await.is_err());
    let records = journal.read(&run, 1, 9).await.expect(WELL);
    assert_eq!(records.len(), 2, "nothing of the refused batch is kept");
    assert_eq!(records[1].event, paused(2).1);
}

async fn gaps_are_refused(journal: &impl Journal) {
    let error = journal.append(&"a".into(), 2, vec![paused(2)]).await.expect_err("it must be refused");
    assert!(matches!(error, AppendError::Storage(_)), "{error:?}");
    assert!(journal.heads().await.expect(WELL).is_empty());
}

async fn of_two_appends_at_once_one_wins(journal: &impl Journal) {
    let run = RunId::from("a");
    let (one, two) = tokio::join!(journal.append(&run, 1, vec![paused(1)]), journal.append(&run, 1, vec![paused(2)]));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

async fn a_long_run_is_read_from_anywhere(journal: &impl Journal) {
    let run = RunId::from("long");
    let mut next = 1;
    for batch in (1..=20).cycle().take(100) {
        journal.append(&run, next, (next..next + batch).map(paused).collect()).await.expect(WELL);
        next += batch;
    }
    let last = next - 1;
    assert_eq!(journal.heads().await.expect(WELL), [(run.clone(), last)]);
    let all = journal.read(&run, 1, usize::MAX).await.expect(WELL);
    assert_eq!(all.len() as u64, last);
    assert!(all.iter().zip(1..).all(|(r, n)| r.seq == n && r.event == paused(n).1));
    for from in [1, 2, last / 2, last - 1, last] {
        let some = journal.read(&run, from, 3).await.expect(WELL);
        assert_eq!(some, all[from as usize - 1..].iter().take(3).cloned().collect::<Vec<_>>());
    }
}

async fn names_of_runs_that_resemble_each_other_are_kept_apart(journal: &impl Journal) {
    let runs = ["a", "a.0000000001", "a=2E", "a/b", "a-1"].map(RunId::from);
    for (run, n) in runs.iter().zip(1..) {
        journal.append(run, 1, vec![paused(n)]).await.expect(WELL);
    }
    for (run, n) in runs.iter().zip(1..) {
        assert_eq!(journal.read(run, 1, 9).await.expect(WELL)[0].event, paused(n).1, "{run}");
    }
    let mut sorted = runs.to_vec();
    sorted.sort();
    let heads: Vec<RunId> = journal.heads().await.expect(WELL).into_iter().map(|(run, _)| run).collect();
    assert_eq!(heads, sorted);
}

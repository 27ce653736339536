//! What every journal must do. Each implementation runs [`all`] in its tests.

use super::{AppendError, Journal};
use pilotlight_core::id::RunId;
use pilotlight_core::run::Event;
use pilotlight_core::time::Wall;
use std::future::Future;

fn paused(n: u64) -> (Wall, Event) {
    (Wall(n), Event::Paused { by: "ada".into(), why: format!("reason {n}") })
}

/// Runs every test on a fresh journal.
pub(crate) async fn all<J: Journal, F: Future<Output = J>>(fresh: impl Fn() -> F) {
    records_come_back_in_order(&fresh().await).await;
    a_number_is_taken_only_once(&fresh().await).await;
    a_batch_is_all_or_nothing(&fresh().await).await;
    gaps_are_refused(&fresh().await).await;
    of_two_appends_at_once_one_wins(&fresh().await).await;
}

async fn records_come_back_in_order(journal: &impl Journal) {
    let (a, b) = (RunId::from("a"), RunId::from("b"));
    journal.append(&b, 1, vec![paused(1)]).await.unwrap();
    journal.append(&a, 1, vec![paused(1), paused(2)]).await.unwrap();
    journal.append(&a, 3, vec![paused(3)]).await.unwrap();
    let seqs = |records: Vec<pilotlight_core::run::Record>| records.iter().map(|r| r.seq).collect::<Vec<_>>();
    let records = journal.read(&a, 1, usize::MAX).await.unwrap();
    assert_eq!(records[1].event, paused(2).1);
    assert_eq!(records[1].at, Wall(2));
    assert_eq!(seqs(records), [1, 2, 3]);
    assert_eq!(seqs(journal.read(&a, 2, 1).await.unwrap()), [2]);
    assert_eq!(seqs(journal.read(&a, 4, 9).await.unwrap()), [0; 0]);
    assert_eq!(seqs(journal.read(&"nobody".into(), 1, 9).await.unwrap()), [0; 0]);
    assert_eq!(journal.heads().await.unwrap(), [(a, 3), (b, 1)]);
}

async fn a_number_is_taken_only_once(journal: &impl Journal) {
    let run = RunId::from("a");
    journal.append(&run, 1, vec![paused(1), paused(2)]).await.unwrap();
    for first in [1, 2] {
        let error = journal.append(&run, first, vec![paused(9)]).await.unwrap_err();
        assert!(matches!(error, AppendError::Taken { .. }), "{error:?}");
    }
    assert_eq!(journal.read(&run, 1, 9).await.unwrap().len(), 2);
}

async fn a_batch_is_all_or_nothing(journal: &impl Journal) {
    let run = RunId::from("a");
    journal.append(&run, 1, vec![paused(1), paused(2)]).await.unwrap();
    assert!(journal.append(&run, 2, vec![paused(8), paused(9)]).await.is_err());
    let records = journal.read(&run, 1, 9).await.unwrap();
    assert_eq!(records.len(), 2, "nothing of the refused batch is kept");
    assert_eq!(records[1].event, paused(2).1);
}

async fn gaps_are_refused(journal: &impl Journal) {
    let error = journal.append(&"a".into(), 2, vec![paused(2)]).await.unwrap_err();
    assert!(matches!(error, AppendError::Storage(_)), "{error:?}");
    assert!(journal.heads().await.unwrap().is_empty());
}

async fn of_two_appends_at_once_one_wins(journal: &impl Journal) {
    let run = RunId::from("a");
    let (one, two) = tokio::join!(journal.append(&run, 1, vec![paused(1)]), journal.append(&run, 1, vec![paused(2)]));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

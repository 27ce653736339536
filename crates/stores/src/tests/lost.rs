//! Lost answers: a put that was done is known as done, one that was not is never taken for done.

use super::fault::{Fault, Faulty};
use super::paused;
use crate::{SharedJournal, SharedStore};
use pilotlight_core::id::RunId;
use pilotlight_engine::journal::{AppendError, Journal};
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{PutError, Store};
use std::sync::Arc;

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_known_as_done() {
    for fault in [Fault::AnswerLost, Fault::AskedAgain, Fault::OvertakenAfterLoss] {
        let objects = Faulty::default();
        let store = SharedStore::new(Arc::new(objects.clone()));
        objects.next(fault);
        let first = store.put("k", b"one".to_vec(), None).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(first, 1);
        let newest = store.get("k").await.unwrap().unwrap().version;
        objects.next(fault);
        let second = store.put("k", b"two".to_vec(), Some(newest)).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(second, newest + 1);
    }
}

#[tokio::test]
async fn a_put_that_never_arrived_is_an_error_and_can_be_repeated() {
    let objects = Faulty::default();
    let store = SharedStore::new(Arc::new(objects.clone()));
    objects.next(Fault::RequestLost);
    let error = store.put("k", b"one".to_vec(), None).await.unwrap_err();
    assert!(matches!(error, PutError::Storage(StorageError::Unreachable { .. })), "{error:?}");
    let first = store.put("k", b"one".to_vec(), None).await.unwrap();
    objects.next(Fault::RequestLost);
    store.put("k", b"two".to_vec(), Some(first)).await.unwrap_err();
    store.put("k", b"two".to_vec(), Some(first)).await.unwrap();
}

#[tokio::test]
async fn an_equal_value_of_somebody_else_is_not_taken_for_ours() {
    let objects = Faulty::default();
    let (mine, theirs) =
        (SharedStore::new(Arc::new(objects.clone())), SharedStore::new(Arc::new(objects.world.clone())));
    theirs.put("k", b"same".to_vec(), None).await.unwrap();
    objects.next(Fault::AskedAgain);
    let error = mine.put("k", b"same".to_vec(), None).await.unwrap_err();
    assert!(matches!(error, PutError::Changed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_known_as_done() {
    for fault in [Fault::AnswerLost, Fault::AskedAgain] {
        let objects = Faulty::default();
        let journal = SharedJournal::new(Arc::new(objects.clone()));
        let run = RunId::from("a");
        for n in 1..=200 {
            objects.next(fault);
            journal.append(&run, n, vec![paused(n)]).await.unwrap_or_else(|e| panic!("{fault:?} of {n}: {e}"));
        }
        assert_eq!(journal.read(&run, 1, usize::MAX).await.unwrap().len(), 200, "each once");
    }
}

/// A deposed controller remembers a journal that has grown since; it must lose at every place, whether its newest chunk
/// has grown, has become full, or was full already.
#[tokio::test]
async fn whoever_remembers_an_old_journal_loses_the_race() {
    for seen in 1..=60 {
        let objects = Faulty::default();
        let (old, new) = (SharedJournal::new(Arc::new(objects.clone())), SharedJournal::new(Arc::new(objects.clone())));
        let run = RunId::from("a");
        for n in 1..=seen {
            old.append(&run, n, vec![paused(n)]).await.unwrap();
        }
        for more in 1..=40 {
            new.append(&run, seen + more, vec![paused(seen + more)]).await.unwrap();
            if more % 13 == 1 {
                let stale = old.clone();
                let error = stale.append(&run, seen + 1, vec![paused(0), paused(0)]).await.unwrap_err();
                assert!(matches!(error, AppendError::Taken { .. }), "{seen} and {more}: {error:?}");
            }
        }
        let read = SharedJournal::new(Arc::new(objects)).read(&run, 1, usize::MAX).await.unwrap();
        assert!(
            read.iter().zip(1..).all(|(r, n)| r.seq == n && r.event == paused(n).1),
            "nothing of the old one is kept"
        );
        assert_eq!(read.len() as u64, seen + 40);
    }
}

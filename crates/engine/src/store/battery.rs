//! What every store must do. Each implementation runs [`all`] in its tests.

use super::{PutError, Store};
use std::future::Future;

/// Runs every test on a fresh store.
pub(crate) async fn all<S: Store, F: Future<Output = S>>(fresh: impl Fn() -> F) {
    a_value_comes_back_with_its_version(&fresh().await).await;
    only_the_newest_version_is_changed(&fresh().await).await;
    of_two_puts_at_once_one_wins(&fresh().await).await;
    keys_are_listed_by_their_beginning(&fresh().await).await;
}

async fn a_value_comes_back_with_its_version(store: &impl Store) {
    assert_eq!(store.get("k").await.unwrap(), None);
    let first = store.put("k", b"one".to_vec(), None).await.unwrap();
    let second = store.put("k", b"two".to_vec(), Some(first)).await.unwrap();
    assert!(second > first);
    let now = store.get("k").await.unwrap().unwrap();
    assert_eq!((now.version, now.value), (second, b"two".to_vec()));
}

async fn only_the_newest_version_is_changed(store: &impl Store) {
    let error = store.put("k", vec![], Some(1)).await.unwrap_err();
    assert!(matches!(error, PutError::Changed { .. }), "a version of what is absent: {error:?}");
    let first = store.put("k", b"one".to_vec(), None).await.unwrap();
    let second = store.put("k", b"two".to_vec(), Some(first)).await.unwrap();
    for stale in [None, Some(first), Some(second + 1)] {
        let error = store.put("k", b"no".to_vec(), stale).await.unwrap_err();
        assert!(matches!(error, PutError::Changed { .. }), "{stale:?}: {error:?}");
    }
    assert_eq!(store.get("k").await.unwrap().unwrap().value, b"two");
}

async fn of_two_puts_at_once_one_wins(store: &impl Store) {
    let first = store.put("k", vec![], None).await.unwrap();
    let (one, two) = tokio::join!(store.put("k", vec![1], Some(first)), store.put("k", vec![2], Some(first)));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

async fn keys_are_listed_by_their_beginning(store: &impl Store) {
    for key in ["unit/b", "unit/a", "units", "unit%", "other"] {
        store.put(key, key.as_bytes().to_vec(), None).await.unwrap();
    }
    let keys: Vec<String> = store.list("unit/").await.unwrap().into_iter().map(|(k, _)| k).collect();
    assert_eq!(keys, ["unit/a", "unit/b"]);
    assert_eq!(store.list("none").await.unwrap(), []);
}

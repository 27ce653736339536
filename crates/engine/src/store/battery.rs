//! What every store must do. Each implementation runs [`all`] in its tests.

use super::{PutError, Store};
use std::future::Future;

/// Why nothing in a battery fails but what is tested.
const WELL: &str = "a store that is well answers";

/// Runs every test on a fresh store.
pub async fn all<S: Store, F: Future<Output = S>>(fresh: impl Fn() -> F) {
    a_value_comes_back_with_its_version(&fresh().await).await;
    only_the_newest_version_is_changed(&fresh().await).await;
    of_two_puts_at_once_one_wins(&fresh().await).await;
    keys_are_listed_by_their_beginning(&fresh().await).await;
    keys_and_values_of_every_kind_come_back(&fresh().await).await;
    many_keys_are_listed(&fresh().await).await;
    of_many_that_count_none_is_lost(&fresh().await).await;
}

async fn a_value_comes_back_with_its_version(store: &impl Store) {
    assert_eq!(store.get("k").await.expect(WELL), None);
    let first = store.put("k", b"one".to_vec(), None).await.expect(WELL);
    let second = store.put("k", b"two".to_vec(), Some(first)).await.expect(WELL);
    assert!(second > first);
    let now = store.get("k").await.expect(WELL).expect(WELL);
    assert_eq!((now.version, now.value), (second, b"two".to_vec()));
}

async fn only_the_newest_version_is_changed(store: &impl Store) {
    let error = store.put("k", vec![], Some(1)).await.expect_err("it must be refused");
    assert!(matches!(error, PutError::Changed { .. }), "a version of what is absent: {error:?}");
    let first = store.put("k", b"one".to_vec(), None).await.expect(WELL);
    let second = store.put("k", b"two".to_vec(), Some(first)).await.expect(WELL);
    for stale in [None, Some(first), Some(second + 1)] {
        let error = store.put("k", b"no".to_vec(), stale).await.expect_err("it must be refused");
        assert!(matches!(error, PutError::Changed { .. }), "{stale:?}: {error:?}");
    }
    assert_eq!(store.get("k").await.expect(WELL).expect(WELL).value, b"two");
}

async fn of_two_puts_at_once_one_wins(store: &impl Store) {
    let first = store.put("k", vec![], None).await.expect(WELL);
    let (one, two) = tokio::join!(store.put("k", vec![1], Some(first)), store.put("k", vec![2], Some(first)));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

async fn keys_are_listed_by_their_beginning(store: &impl Store) {
    for key in ["unit/b", "unit/a", "units", "unit%", "other"] {
        store.put(key, key.as_bytes().to_vec(), None).await.expect(WELL);
    }
    let keys: Vec<String> = store.list("unit/").await.expect(WELL).into_iter().map(|(k, _)| k).collect();
    assert_eq!(keys, ["unit/a", "unit/b"]);
    assert_eq!(store.list("none").await.expect(WELL), []);
}

async fn keys_and_values_of_every_kind_come_back(store: &impl Store) {
    let kinds: [(&str, Vec<u8>); 4] = [
        ("unit/\u{e4}rger =%20\"x\"", b"a name of a person's choice".to_vec()),
        ("empty", vec![]),
        ("bytes", (0..=255).collect()),
        ("large", vec![b'x'; 200_000]),
    ];
    for (key, value) in &kinds {
        store.put(key, value.clone(), None).await.expect(WELL);
    }
    for (key, value) in kinds {
        assert_eq!(store.get(key).await.expect(WELL).expect(WELL).value, value, "{key}");
    }
    assert_eq!(store.list("unit/\u{e4}").await.expect(WELL).len(), 1);
}

async fn many_keys_are_listed(store: &impl Store) {
    const MANY: usize = 150;
    for n in 0..MANY {
        store.put(&format!("unit/{n:04}"), n.to_string().into_bytes(), None).await.expect(WELL);
    }
    let listed = store.list("unit/").await.expect(WELL);
    assert_eq!(listed.len(), MANY);
    for (n, (key, found)) in listed.into_iter().enumerate() {
        assert_eq!((key, found.value), (format!("unit/{n:04}"), n.to_string().into_bytes()));
    }
}

/// Four count to ten together, each reading before it puts: a lost update would be missing in the end.
async fn of_many_that_count_none_is_lost(store: &impl Store) {
    store.put("n", b"0".to_vec(), None).await.expect(WELL);
    let count = async || {
        for _ in 0..10 {
            loop {
                let found = store.get("n").await.expect(WELL).expect(WELL);
                let n: u32 = String::from_utf8(found.value).expect(WELL).parse().expect(WELL);
                match store.put("n", (n + 1).to_string().into_bytes(), Some(found.version)).await {
                    Ok(_) => break,
                    Err(PutError::Changed { .. }) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        }
    };
    tokio::join!(count(), count(), count(), count());
    assert_eq!(store.get("n").await.expect(WELL).expect(WELL).value, b"40");
}

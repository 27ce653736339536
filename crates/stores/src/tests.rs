//! Both batteries on every engine, an engine that misbehaves on order, and the trial that finds out the broken ones.

mod deaf;
mod etcd;
mod fault;
mod folder;
mod lost;
mod s3;
mod trial;
mod wait;
mod world;

use crate::{Objects, SharedJournal, SharedStore};
use pilotlight_core::id::RunId;
use pilotlight_core::run::Event;
use pilotlight_core::time::Wall;
use pilotlight_engine::journal::Journal;
use std::sync::Arc;
use wait::until;

/// Both batteries and a long journal, on engines that `fresh` makes.
async fn batteries<F: Future<Output = Arc<dyn Objects>>>(fresh: impl Fn() -> F) {
    pilotlight_engine::store::battery::all(|| async { SharedStore::new(fresh().await) }).await;
    pilotlight_engine::journal::battery::all(|| async { SharedJournal::new(fresh().await) }).await;
    ten_thousand_records_are_read(fresh().await).await;
}

fn paused(n: u64) -> (Wall, Event) {
    (Wall(n), Event::Paused { by: "ada".into(), why: format!("reason {n} {}", "x".repeat(150)) })
}

/// A controller that takes a run over reads all of it before it goes on, while users wait. The reader knows nothing yet.
async fn ten_thousand_records_are_read(objects: Arc<dyn Objects>) {
    let run = RunId::from("long");
    let journal = SharedJournal::new(objects.clone());
    for first in (1..10_000).step_by(100) {
        journal.append(&run, first, (first..first + 100).map(paused).collect()).await.unwrap();
    }
    let fresh = SharedJournal::new(objects);
    assert_eq!(fresh.read(&run, 1, usize::MAX).await.unwrap().len(), 10_000);
    assert_eq!(fresh.heads().await.unwrap(), [(run, 10_000)]);
}

/// More objects than an engine lists at once.
async fn more_than_a_page(objects: Arc<dyn Objects>) {
    const MANY: usize = 1_100;
    for n in 0..MANY {
        objects.put(&format!("store/{n:05}"), vec![], &crate::Expect::Absent).await.unwrap();
    }
    objects.put("stores", vec![], &crate::Expect::Absent).await.unwrap();
    let mut leaves: Vec<String> = objects.list("store").await.unwrap().into_iter().map(|(leaf, _)| leaf).collect();
    leaves.sort();
    assert_eq!(leaves, (0..MANY).map(|n| format!("{n:05}")).collect::<Vec<_>>());
}

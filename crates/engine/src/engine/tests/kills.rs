//! The controller is killed at every record and every write of the store, and another one continues.

use super::scene::{SCENES, Scene, Stage};
use crate::journal::{AppendError, Journal};
use crate::storage::StorageError;
use crate::store::{FailedOver, PutError, Store, UnitRecord, Units, Versioned};
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::leader::Term;
use pilotlight_core::run::{Cause, Condition, Event, Record, RunResult};
use pilotlight_core::time::Wall;
use pilotlight_driver::clock::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Lets so many writes through, cuts a batch in the middle if need be, then hangs until it is let go on.
struct Mortal<T> {
    inner: T,
    left: AtomicUsize,
    hung: Semaphore,
    go_on: Notify,
}

impl<T> Mortal<T> {
    fn new(inner: T, left: usize) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicUsize::new(left), hung: Semaphore::new(0), go_on: Notify::new() })
    }

    /// How many of these writes still go through.
    fn take(&self, wanted: usize) -> usize {
        let taken = self.left.load(Ordering::SeqCst).min(wanted);
        self.left.fetch_sub(taken, Ordering::SeqCst);
        taken
    }

    async fn hang(&self) {
        self.hung.add_permits(1);
        self.go_on.notified().await;
    }

    /// Returns when a write hangs.
    async fn is_hanging(&self) {
        let hangs = tokio::time::timeout(Duration::from_secs(50_000), self.hung.acquire()).await;
        assert!(hangs.is_ok(), "the run ended before that many writes");
    }
}

#[async_trait]
impl Journal for Mortal<Arc<dyn Journal>> {
    async fn append(&self, run: &RunId, first: u64, mut events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        let all = events.len();
        let rest = events.split_off(self.take(all));
        if !events.is_empty() {
            self.inner.append(run, first, events).await?;
        }
        if !rest.is_empty() {
            self.hang().await;
            return self.inner.append(run, first + (all - rest.len()) as u64, rest).await;
        }
        Ok(())
    }
    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.inner.read(run, from, limit).await
    }
    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.inner.heads().await
    }
}

#[async_trait]
impl Store for Mortal<Arc<dyn Store>> {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        self.inner.get(key).await
    }
    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        if self.take(1) == 0 {
            self.hang().await;
        }
        self.inner.put(key, value, if_version).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        self.inner.list(prefix).await
    }
}

/// Records of a run that nothing disturbs.
async fn records(scene: Scene) -> usize {
    let stage = Stage::new(scene);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.settled(&run).await;
    life.engine.records(&run).await.unwrap().len()
}

/// Kills the first controller once it wants to write record `n + 1`; `linger` lets what it has sent come back first.
async fn killed_at(stage: &Stage, n: usize, linger: Duration) {
    let mortal = Mortal::new(Arc::clone(&stage.journal), n);
    let life = stage.life_on(mortal.clone(), Arc::new(stage.router())).await;
    stage.start(&life).await;
    mortal.is_hanging().await;
    stage.clock.sleep(linger).await;
    life.kill().await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_record_the_next_controller_brings_the_run_to_its_end() {
    for scene in SCENES {
        for n in 1..records(scene).await {
            for linger in [Duration::ZERO, Duration::from_millis(300)] {
                let stage = Stage::new(scene);
                killed_at(&stage, n, linger).await;
                let life = stage.life().await;
                let runs = life.engine.recover().await.unwrap();
                assert_eq!(runs.len(), 1, "{scene:?}, record {n}");
                let view = life.settled(&runs[0]).await;
                let what = format!("killed after record {n}, {linger:?} later");
                assert_eq!(
                    view.condition,
                    Condition::Ended { result: RunResult::Done },
                    "{scene:?}, {what}: {view:#?}"
                );
                stage.check_settled(&view, &what);
                life.kill().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_may_not_run_twice_runs_at_most_once_wherever_the_kill_comes() {
    for scene in [Scene::RegionLost, Scene::Switchover] {
        for n in 1..records(scene).await {
            let stage = Stage::with_opaque_command(scene);
            killed_at(&stage, n, Duration::from_millis(300)).await;
            let life = stage.life().await;
            let runs = life.engine.recover().await.unwrap();
            let view = life.ended(&runs[0]).await;
            assert!(stage.world.commands().len() <= 1, "{scene:?}, record {n}");
            stage.check_settled(&view, &format!("killed after record {n}"));
            life.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn controllers_that_live_for_two_records_each_get_there_too() {
    for scene in SCENES {
        let stage = Stage::new(scene);
        killed_at(&stage, 1, Duration::ZERO).await;
        let mut lives = 0;
        loop {
            lives += 1;
            assert!(lives < 200, "{scene:?}: no progress");
            let mortal = Mortal::new(Arc::clone(&stage.journal), 2);
            let life = stage.life_on(mortal.clone(), Arc::new(stage.router())).await;
            let Some(run) = life.engine.recover().await.unwrap().into_iter().next() else { break };
            let ended = tokio::select! {
                () = mortal.is_hanging() => false,
                _ = life.settled(&run) => true,
            };
            life.kill().await;
            if ended {
                break;
            }
        }
        stage.check("two records a life");
        stage.check_target("two records a life");
    }
}

#[tokio::test(start_paused = true)]
async fn two_controllers_at_once_do_nothing_twice() {
    for scene in SCENES {
        for n in 1..records(scene).await {
            let stage = Stage::new(scene);
            let mortal = Mortal::new(Arc::clone(&stage.journal), n);
            let first = stage.life_on(mortal.clone(), Arc::new(stage.router())).await;
            let run = stage.start(&first).await;
            mortal.is_hanging().await;
            let second = stage.life().await;
            assert_eq!(second.engine.recover().await.unwrap().first(), Some(&run), "{scene:?}, record {n}");
            // The first one was only slow: it goes on, and loses its next append.
            mortal.left.store(usize::MAX, Ordering::SeqCst);
            mortal.go_on.notify_one();
            let view = second.settled(&run).await;
            let what = format!("a second controller after record {n}");
            assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}, {what}: {view:#?}");
            stage.check_settled(&view, &what);
            first.kill().await;
            second.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_between_the_epoch_and_the_first_record_leaves_a_free_unit() {
    let stage = Stage::new(Scene::RegionLost);
    let mortal = Mortal::new(Arc::clone(&stage.journal), 0);
    let life = stage.life_on(mortal.clone(), Arc::new(stage.router())).await;
    // One that ended badly and that nobody has acknowledged yet bars the next automatic one, whatever a person tried since.
    let earlier = FailedOver { run: "failover-1".into(), at: Wall(1), automatic: true, acknowledged_by: None };
    let barred = |record: &mut UnitRecord| {
        record.failed_over = Some(earlier.clone());
        Ok(())
    };
    Units::new(Arc::clone(&stage.store), Term(0)).change(&stage.unit(), barred).await.unwrap();
    stage.break_it();
    let starting = life.engine.clone();
    let runbook = stage.runbook().await;
    let again = runbook.clone();
    let start = tokio::spawn(async move { starting.start(runbook, Cause::default()).await });
    mortal.is_hanging().await;
    start.abort();
    life.kill().await;
    let life = stage.life().await;
    assert_eq!(life.engine.recover().await.unwrap(), []);
    let unit = life.engine.unit(&stage.unit()).await.unwrap().unwrap();
    assert_eq!((unit.run, unit.epoch.0), (None, 2), "the epoch stays raised");
    assert_eq!((unit.failed_over, unit.failed_over_before), (Some(earlier), None), "it bars the next one as before");
    let run = life.engine.start(again, Cause::default()).await.unwrap();
    let view = life.settled(&run).await;
    assert_eq!(view.epoch.0, 3);
    life.is_free(&stage.unit()).await;
    let unit = life.engine.unit(&stage.unit()).await.unwrap().unwrap();
    assert_eq!((unit.failed_over.map(|f| f.run), unit.failed_over_before), (Some(run), None), "that one began");
    stage.check_settled(&view, "started again");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_write_of_the_store_the_next_controller_puts_it_right() {
    for scene in SCENES {
        // One write keeps the lease, one enters the unit; then the start, whatever the runbook does to the unit, and the end.
        for n in 3..11 {
            let mut stage = Stage::new(scene);
            let durable = Arc::clone(&stage.store);
            let mortal = Mortal::new(Arc::clone(&durable), n);
            stage.store = mortal.clone();
            let life = stage.life().await;
            let run = stage.start(&life).await;
            let unit = stage.unit();
            let ended_undisturbed = tokio::select! {
                () = mortal.is_hanging() => false,
                () = life.is_free(&unit) => true,
            };
            life.kill().await;
            stage.store = durable;
            let life = stage.life().await;
            life.engine.recover().await.unwrap();
            let view = life.settled(&run).await;
            let what = format!("killed at write {n} of the store");
            assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}, {what}: {view:#?}");
            stage.check_settled(&view, &what);
            life.is_free(&unit).await;
            life.kill().await;
            if ended_undisturbed {
                break;
            }
        }
    }
}

//! The note on disk and the rule which ends the guard may act on.

use super::{FileNotes, Leases, Note, Notes as _};
use async_trait::async_trait;
use pilotlight_core::id::Unit;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::Clock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Default)]
struct HandClock(AtomicU64);

#[async_trait]
impl Clock for HandClock {
    fn mono(&self) -> Mono {
        Mono(Duration::from_millis(self.0.load(Ordering::SeqCst)))
    }
    fn wall(&self) -> Wall {
        Wall(0)
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending::<()>().await;
    }
}

fn ms(ms: u64) -> Mono {
    Mono(Duration::from_millis(ms))
}

fn at(clock: &HandClock, ms: u64) {
    clock.0.store(ms, Ordering::SeqCst);
}

#[test]
fn a_note_is_believed_on_the_same_boot_only() {
    let dir = tempfile::tempdir().unwrap();
    let unit = Unit::from("payments");
    let mut notes = FileNotes::open(dir.path()).unwrap();
    notes.boot = Some("first".to_owned());
    assert!(notes.load().is_empty());
    notes.write(&BTreeMap::from([(unit.clone(), ms(12_345))])).unwrap();
    assert_eq!(notes.load(), BTreeMap::from([(unit.clone(), ms(12_345))]));
    notes.boot = Some("second".to_owned());
    assert_eq!(notes.load(), BTreeMap::from([(unit.clone(), ms(0))]), "known to have been held, long over");
    notes.boot = None;
    std::fs::write(
        &notes.path,
        serde_json::to_vec(&Note { boot: None, ends_ms: BTreeMap::from([(unit.clone(), 9)]) }).unwrap(),
    )
    .unwrap();
    assert_eq!(notes.load(), BTreeMap::from([(unit, ms(0))]), "a system without boot ids says nothing");
    std::fs::write(&notes.path, "{").unwrap();
    assert!(notes.load().is_empty(), "a torn note is no note");
}

#[test]
fn a_guard_acts_once_on_each_end_and_never_on_one_before_its_start() {
    let clock = Arc::new(HandClock::default());
    at(&clock, 1_000);
    let (old, rest) = (Unit::from("old"), Unit::from("rest"));
    let noted = BTreeMap::from([(old.clone(), ms(900)), (rest.clone(), ms(1_400))]);
    let leases = Leases::new(clock.clone(), noted);
    assert!(leases.once_granted(&old) && !leases.is_valid(&old));
    assert!(leases.is_valid(&rest));
    let (before, none) = (leases.over_at_start(&old), leases.over_at_start(&rest));
    assert_eq!((before, none), (Some(ms(900)), None));
    assert_eq!(leases.wait_for_end(&old, before, Duration::ZERO), None);
    assert_eq!(leases.wait_for_end(&rest, none, Duration::ZERO), None);
    assert_eq!(leases.ended(&rest, none, Duration::from_millis(100)), Err(Duration::from_millis(100)));
    assert_eq!(leases.ended(&rest, none, Duration::from_secs(1)), Err(Duration::from_millis(400)));

    at(&clock, 1_400);
    assert!(!leases.is_valid(&rest), "at the very end it is over");
    assert_eq!(leases.wait_for_end(&rest, none, Duration::ZERO), Some(ms(1_400)));
    assert_eq!(leases.wait_for_end(&rest, none, Duration::ZERO), Some(ms(1_400)), "until the fence has worked");
    let done = Some(ms(1_400));
    assert_eq!(leases.wait_for_end(&rest, done, Duration::ZERO), None);
    assert_eq!(leases.wait_for_end(&old, before, Duration::ZERO), None);

    leases.renewed(&rest, ms(1_500), Duration::from_millis(300));
    assert!(leases.is_valid(&rest));
    at(&clock, 1_800);
    assert_eq!(leases.wait_for_end(&rest, done, Duration::ZERO), Some(ms(1_800)));
    leases.renewed(&old, ms(1_800), Duration::from_millis(300));
    at(&clock, 2_100);
    assert_eq!(leases.wait_for_end(&old, before, Duration::ZERO), Some(ms(2_100)));
}

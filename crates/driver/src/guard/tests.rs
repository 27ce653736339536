//! The guard against crashes, old orders, repeated orders and full disks.

use super::{Guarded, Ledger, OpenError};
use crate::clock::{Clock, SystemClock};
use crate::fake::{FakeDriver, Misbehaviour, World};
use crate::{Context, Driver};
use pilotlight_core::code;
use pilotlight_core::effect::{CommandLine, Effect};
use pilotlight_core::id::{EffectKey, Epoch};
use pilotlight_core::observation::{Role, Sentinel};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::time::Wall;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn context(step: &str, epoch: u64) -> Context {
    Context {
        unit: "payments".into(),
        epoch: Epoch(epoch),
        key: EffectKey::new(&"run".into(), &step.into(), 1),
        deadline: Duration::from_secs(10),
        cancel: CancellationToken::new(),
    }
}

fn world() -> World {
    World::new().with_database("db", &["east", "west"]).with_traffic("name", "east")
}

fn guarded(world: &World, folder: &Path) -> Guarded<FakeDriver> {
    Guarded::open(FakeDriver::unguarded(world), folder).unwrap()
}

fn command(idempotent: bool) -> Effect {
    let command = CommandLine { argv: vec!["pay".into()], env: BTreeMap::new(), idempotent };
    Effect::Command { region: None, command }
}

fn stop() -> Effect {
    Effect::StopWrites { component: "db".into(), region: "east".into() }
}

fn promote() -> Effect {
    Effect::Promote { component: "db".into(), region: "west".into() }
}

/// The caller dies while the effect is done but not answered.
async fn crash_in(guard: &Guarded<FakeDriver>, effect: &Effect, context: &Context) {
    guard.inner().world().on_next(Misbehaviour::HangAfter);
    let crashed = tokio::time::timeout(Duration::from_secs(1), guard.apply(effect, context)).await;
    assert!(crashed.is_err(), "it should have hung: {crashed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_known_key_is_answered_the_same_also_by_the_next_process() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let first = {
        let guard = guarded(&world, folder.path());
        let first = guard.apply(&stop(), &context("stop", 1)).await;
        assert_eq!(guard.apply(&stop(), &context("stop", 1)).await, first);
        first
    };
    assert!(first.as_ref().is_ok_and(|o| o.output().is_some_and(|o| o.position.is_some())), "{first:?}");
    let guard = guarded(&world, folder.path());
    assert_eq!(guard.apply(&stop(), &context("stop", 1)).await, first);
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_and_a_transient_failure_is_not() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    world.command_ends("pay", 3, "no funds");
    let guard = guarded(&world, folder.path());
    let refused = guard.apply(&command(false), &context("pay", 1)).await.unwrap_err();
    assert_eq!((refused.kind, refused.output.as_str()), (FailureKind::Rejected, "no funds"));
    assert_eq!(guard.apply(&command(false), &context("pay", 1)).await, Err(refused));
    assert_eq!(world.commands().len(), 1);
    world.on_next(Misbehaviour::Fail(FailureKind::Transient));
    assert_eq!(guard.apply(&command(false), &context("b", 1)).await.unwrap_err().kind, FailureKind::Transient);
    world.command_ends("pay", 0, "paid");
    assert_eq!(guard.apply(&command(false), &context("b", 1)).await, Ok(Outcome::done_with("paid")));
}

#[tokio::test(start_paused = true)]
async fn a_crash_leaves_an_opaque_command_unknown_and_repeats_the_rest() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    {
        let guard = guarded(&world, folder.path());
        crash_in(&guard, &command(false), &context("opaque", 1)).await;
        crash_in(&guard, &command(true), &context("idempotent", 1)).await;
        crash_in(&guard, &stop(), &context("stop", 1)).await;
    }
    let guard = guarded(&world, folder.path());
    for _ in 0..2 {
        let unknown = guard.apply(&command(false), &context("opaque", 1)).await.unwrap_err();
        assert_eq!(unknown.kind, FailureKind::OutcomeUnknown);
    }
    assert!(guard.apply(&command(true), &context("idempotent", 1)).await.is_ok());
    let stopped = guard.apply(&stop(), &context("stop", 1)).await.unwrap();
    assert!(stopped.output().is_some_and(|o| o.position.is_some()), "{stopped:?}");
    let ran: Vec<_> = world.commands().into_iter().map(|(_, key)| key.to_string()).collect();
    assert_eq!(ran, ["run/opaque/1", "run/idempotent/1", "run/idempotent/1"]);
}

#[tokio::test(start_paused = true)]
async fn the_newest_epoch_outlives_the_process_and_bounces_what_is_older() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    guarded(&world, folder.path()).apply(&stop(), &context("stop", 7)).await.unwrap();
    let guard = guarded(&world, folder.path());
    assert_eq!(guard.ledger().epoch(&"payments".into()), Epoch(7));
    let sentinel = Sentinel { number: 1, written: Wall(1) };
    let sentinel = Effect::WriteSentinel { component: "db".into(), region: "east".into(), sentinel };
    for effect in [promote(), command(true), sentinel] {
        let refused = guard.apply(&effect, &context("old", 6)).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Rejected, "{effect:?}");
        assert!(refused.coded().0 == Some(code::STALE_EPOCH) && refused.hint.is_some(), "{refused:?}");
    }
    assert_eq!(guard.resume("work", &context("old", 6)).await.unwrap_err().kind, FailureKind::Rejected);
    assert_eq!(world.writers("db"), []);
    let other = Context { unit: "reports".into(), ..context("other", 1) };
    assert!(guard.apply(&command(true), &other).await.is_ok(), "another unit counts for itself");
    assert!(guard.ledger().admit(&"payments".into(), Epoch(9)).await.is_ok());
    assert_eq!(guard.apply(&promote(), &context("late", 8)).await.unwrap_err().kind, FailureKind::Rejected);
}

#[tokio::test(start_paused = true)]
async fn a_newer_epoch_ends_what_an_older_one_has_under_way() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = Arc::new(guarded(&world, folder.path()));
    world.on_call(0, Misbehaviour::Hang);
    let old = tokio::spawn({
        let guard = Arc::clone(&guard);
        async move { guard.apply(&promote(), &context("promote", 1)).await }
    });
    while world.calls() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(guard.apply(&stop(), &context("stop", 2)).await.is_ok());
    assert_eq!(old.await.unwrap().unwrap_err().kind, FailureKind::OutcomeUnknown);
    assert_eq!(world.copy("db", "west").map(|c| matches!(c.role, Role::Standby { .. })), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_fence_waits_for_nobody_and_is_done_again_when_the_old_has_ended() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = Arc::new(guarded(&world, folder.path()));
    world.on_call(0, Misbehaviour::HangAfter);
    let old = tokio::spawn({
        let guard = Arc::clone(&guard);
        async move { guard.apply(&promote(), &context("promote", 1)).await }
    });
    while world.calls() == 0 {
        tokio::task::yield_now().await;
    }
    let fence = Effect::Fence { component: "db".into(), region: "west".into() };
    let context = context("fence", 2);
    let fencing = guard.apply(&fence, &context);
    let late_promotion = async {
        while world.calls() == 1 {
            world.changed().await;
        }
        world.set_role("db", "west", |fenced| {
            assert!(matches!(fenced, Role::Fenced { .. }), "fenced at once, not {fenced:?}");
            Role::Writer
        });
    };
    let (answer, ()) = tokio::join!(fencing, late_promotion);
    assert!(matches!(answer, Ok(Outcome::Done { .. })), "{answer:?}");
    assert_eq!(old.await.unwrap().unwrap_err().kind, FailureKind::OutcomeUnknown);
    assert!(matches!(world.copy("db", "west").unwrap().role, Role::Fenced { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_is_called_off_while_it_waits_for_an_older_effect_does_not_begin() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = guarded(&world, folder.path());
    world.on_call(0, Misbehaviour::Hang);
    let (first, second, older) = (context("pay", 1), context("promote", 2), command(true));
    let called_off = async {
        while world.calls() == 0 {
            tokio::task::yield_now().await;
        }
        let promotion = promote();
        let mut waits = std::pin::pin!(guard.apply(&promotion, &second));
        assert!(std::future::poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
        second.cancel.cancel();
        waits.await
    };
    let (_, answer) = tokio::join!(guard.apply(&older, &first), called_off);
    assert_eq!(answer.unwrap_err().kind, FailureKind::Transient);
    assert_eq!(world.writers("db"), ["east".into()], "nothing was promoted without a lease");
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_a_newer_one_has_overtaken_is_not_done_again() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = Arc::new(guarded(&world, folder.path()));
    world.on_call(0, Misbehaviour::HangAfter);
    let begin = |effect: Effect, context: Context| {
        let guard = Arc::clone(&guard);
        tokio::spawn(async move { guard.apply(&effect, &context).await })
    };
    let begun = async |calls: usize| {
        while world.calls() < calls {
            tokio::task::yield_now().await;
        }
    };
    let fence = Effect::Fence { component: "db".into(), region: "west".into() };
    let old = begin(promote(), context("promote", 1));
    begun(1).await;
    let overtaken = begin(fence.clone(), context("fence-2", 2));
    begun(2).await;
    let newest = begin(fence, context("fence-3", 3));
    begun(3).await;
    assert_eq!(old.await.unwrap().unwrap_err().kind, FailureKind::OutcomeUnknown);
    let overtaken = overtaken.await.unwrap().unwrap_err();
    assert_eq!(overtaken.kind, FailureKind::OutcomeUnknown, "{overtaken}");
    assert!(overtaken.message.contains("a newer epoch"), "{overtaken}");
    assert!(newest.await.unwrap().is_ok());
    assert_eq!(world.calls(), 4, "promotion, both fences, and the newest again");
}

#[tokio::test(start_paused = true)]
async fn the_same_key_at_the_same_time_is_done_once() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = guarded(&world, folder.path());
    world.on_next(Misbehaviour::Delay(Duration::from_secs(5)));
    let (effect, context) = (command(false), context("pay", 1));
    let (first, second) = tokio::join!(guard.apply(&effect, &context), guard.apply(&effect, &context));
    assert_eq!(first, Ok(Outcome::done_with("pay")));
    assert_eq!(first, second);
    assert_eq!(world.commands().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_when_the_record_cannot_be_written() {
    if !Path::new("/dev/full").exists() {
        return; // Only Linux has a disk that is always full.
    }
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = Guarded::with(FakeDriver::unguarded(&world), Arc::new(full_disk(folder.path())));
    for effect in [stop(), command(false)] {
        let failure = guard.apply(&effect, &context("any", 1)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Transient);
        assert!(failure.message.contains("cannot be written"), "{failure}");
        assert!(failure.hint.is_some());
    }
    assert_eq!(world.journal(), []);
    assert_eq!(world.writers("db"), ["east".into()]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_keeps_no_writer_alive_and_no_fence_is_answered_unrecorded() {
    if !Path::new("/dev/full").exists() {
        return; // Only Linux has a disk that is always full.
    }
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = Guarded::with(FakeDriver::unguarded(&world), Arc::new(full_disk(folder.path())));
    let fence = Effect::Fence { component: "db".into(), region: "east".into() };
    let failure = guard.apply(&fence, &context("fence", 2)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
    assert!(failure.message.contains("fenced, but"), "{failure}");
    assert_eq!(world.writers("db"), [], "the writer is silent all the same");
    assert_eq!(guard.apply(&promote(), &context("late", 1)).await.unwrap_err().kind, FailureKind::Rejected);
}

/// Or a stale order would be obeyed by a place that has fenced: by a store that went back while the place was down.
#[tokio::test(start_paused = true)]
async fn a_place_that_dies_while_it_fences_obeys_no_older_epoch_afterwards() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let fence = Effect::Fence { component: "db".into(), region: "east".into() };
    let guard = guarded(&world, folder.path());
    guard.apply(&stop(), &context("stop", 1)).await.unwrap();
    crash_in(&guard, &fence, &context("fence", 2)).await;
    drop(guard);
    let guard = reopened(&world, folder.path());
    assert_eq!(guard.ledger().epoch(&"payments".into()), Epoch(2));
    let stale = guard.apply(&promote(), &context("promote", 1)).await.unwrap_err();
    assert_eq!(stale.kind, FailureKind::Rejected, "{stale}");
}

/// Or older orders of all but the first would be obeyed after a crash.
#[tokio::test]
async fn every_unit_that_is_fenced_on_a_slow_disk_is_noted() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let fence = Effect::Fence { component: "db".into(), region: "east".into() };
    let guard = guarded(&world, folder.path());
    let orders = [("payments", 2), ("reports", 5), ("payments", 3)];
    {
        let _disk = super::ledger::hang(guard.ledger());
        for (step, (unit, epoch)) in orders.into_iter().enumerate() {
            let context = Context { unit: unit.into(), ..context(&format!("fence-{step}"), epoch) };
            world.on_next(Misbehaviour::HangAfter);
            let mut fencing = std::pin::pin!(guard.apply(&fence, &context));
            // The place dies while it fences.
            assert!(fencing.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(world.calls(), step + 1, "no fence waits for the disk");
        }
    }
    drop(guard);
    let guard = reopened(&world, folder.path());
    assert_eq!(["payments", "reports"].map(|unit| guard.ledger().epoch(&unit.into())), [Epoch(3), Epoch(5)]);
}

/// By the next process. What was begun beside a fence is written by a thread, which keeps the folder until it is done.
fn reopened(world: &World, folder: &Path) -> Guarded<FakeDriver> {
    let deadline = SystemClock.mono() + Duration::from_secs(10);
    loop {
        match Guarded::open(FakeDriver::unguarded(world), folder) {
            Ok(guard) => return guard,
            Err(last) => assert!(SystemClock.mono() < deadline, "the folder is not let go: {last}"),
        }
        std::thread::yield_now();
    }
}

fn full_disk(folder: &Path) -> Ledger {
    super::ledger::on_file(folder, std::fs::OpenOptions::new().append(true).open("/dev/full").unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_torn_last_line_is_dropped_and_other_damage_refuses_to_open() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    guarded(&world, folder.path()).apply(&command(false), &context("pay", 3)).await.unwrap();
    let path = folder.path().join("guard.log");
    let whole = std::fs::read_to_string(&path).unwrap();
    assert_eq!(whole.lines().count(), 3, "epoch, intent, answer: {whole}");
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let guard = guarded(&world, folder.path());
    let unknown: Failure = guard.apply(&command(false), &context("pay", 3)).await.unwrap_err();
    assert_eq!(unknown.kind, FailureKind::OutcomeUnknown);
    guard.apply(&command(true), &context("next", 3)).await.unwrap();
    drop(guard);
    assert_eq!(guarded(&world, folder.path()).ledger().epoch(&"payments".into()), Epoch(3));
    std::fs::write(&path, format!("rubbish\n{whole}")).unwrap();
    let damaged = Ledger::open(folder.path()).unwrap_err();
    assert!(matches!(damaged, OpenError::Damaged { line: 1, .. }), "{damaged}");
}

#[tokio::test(start_paused = true)]
async fn a_folder_has_one_user() {
    let folder = TempDir::new().unwrap();
    let first = Ledger::open(folder.path()).unwrap();
    assert!(matches!(Ledger::open(folder.path()), Err(OpenError::InUse(_))));
    drop(first);
    assert!(Ledger::open(folder.path()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_record_stays_short_and_keeps_what_matters() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let guard = guarded(&world, folder.path());
    for i in 0..4_500_u64 {
        let effect = command(true);
        guard.apply(&effect, &context(&format!("step-{i}"), 1 + i / 4_000)).await.unwrap();
    }
    drop(guard);
    let lines = std::fs::read_to_string(folder.path().join("guard.log")).unwrap().lines().count();
    assert!(lines < 2_000, "{lines} lines");
    let guard = guarded(&world, folder.path());
    guard.apply(&command(true), &context("step-4499", 2)).await.unwrap();
    assert_eq!(world.commands().len(), 4_500, "the newest key is still known");
    assert_eq!(guard.apply(&command(true), &context("step-1", 1)).await.unwrap_err().kind, FailureKind::Rejected);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_back_is_neither_done_again_nor_said_to_be_done() {
    let (world, folder) = (world(), TempDir::new().unwrap());
    let resume = Effect::ResumeWrites { component: "db".into(), region: "east".into() };
    let undo = Context { key: EffectKey::undo(&"run".into(), &"stop".into(), 1), ..context("stop", 1) };
    let guard = guarded(&world, folder.path());
    guard.apply(&stop(), &context("stop", 1)).await.unwrap();
    world.on_next(Misbehaviour::Fail(FailureKind::Rejected));
    guard.apply(&resume, &undo).await.unwrap_err();
    assert!(guard.apply(&stop(), &context("stop", 1)).await.is_ok(), "an undo that was refused has taken nothing back");
    let undo = Context { key: EffectKey::undo(&"run".into(), &"stop".into(), 2), ..undo };
    guard.apply(&resume, &undo).await.unwrap();
    let done = world.journal().len();
    drop(guard);
    // A controller on an old copy of the journal knows nothing of the undo.
    let guard = guarded(&world, folder.path());
    for attempt in [1, 2] {
        let again = Context { key: EffectKey::new(&"run".into(), &"stop".into(), attempt), ..context("stop", 1) };
        let refused = guard.apply(&stop(), &again).await.unwrap_err();
        assert_eq!((refused.kind, refused.coded().0), (FailureKind::Rejected, Some(code::STORE_BEHIND)), "{refused}");
    }
    assert!(guard.apply(&resume, &undo).await.is_ok(), "to take it back again is answered as before");
    let other = guard.apply(&stop(), &context("stop-writes", 1)).await;
    assert!(other.is_ok(), "another step's name may begin alike: {other:?}");
    assert_eq!(world.journal().len(), done + 1);
}

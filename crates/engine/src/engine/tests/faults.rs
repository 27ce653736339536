//! Faults of the world, one at a time, at every call of every derived runbook.

use super::clock::TokioClock;
use super::scene::{SCENES, Scene, Stage};
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Outcome};
use pilotlight_core::run::{Condition, Event, RunResult, RunView, StepStatus};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::fake::Misbehaviour;
use pilotlight_driver::{Context, Driver};
use std::sync::Arc;
use std::time::Duration;

const KINDS: [FailureKind; 5] = [
    FailureKind::Transient,
    FailureKind::Rejected,
    FailureKind::OutcomeUnknown,
    FailureKind::Unreachable,
    FailureKind::Unsupported,
];

/// Calls of a run that nothing disturbs.
async fn calls(scene: Scene) -> usize {
    let stage = Stage::new(scene);
    let life = stage.life().await;
    let run = stage.start(&life).await;
    life.settled(&run).await;
    stage.world.calls()
}

/// One run with one misbehaviour at one call.
async fn disturbed(stage: &Stage, call: usize, what: &Misbehaviour) -> RunView {
    stage.world.on_call(call, what.clone());
    let life = stage.life().await;
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    life.kill().await;
    view
}

fn is_note(effect: &Effect) -> bool {
    matches!(effect, Effect::Notify { .. })
}

/// Done; what was disturbed leaves a warning only where it was a note.
fn check_ended(stage: &Stage, view: &RunView, why: &str) {
    let passed: Vec<_> = view.steps.iter().filter(|s| s.status == StepStatus::PassedOver).collect();
    assert!(passed.len() <= 1 && passed.iter().all(|s| is_note(&s.effect)), "{why}: {view:#?}");
    let result = if passed.is_empty() { RunResult::Done } else { RunResult::DoneWithWarnings };
    assert_eq!(view.condition, Condition::Ended { result }, "{:?}, {why}: {view:#?}", stage.scene);
}

#[tokio::test(start_paused = true)]
async fn each_call_fails_once_with_each_kind() {
    for scene in SCENES {
        for call in 0..calls(scene).await {
            for kind in KINDS {
                let stage = Stage::new(scene);
                let view = disturbed(&stage, call, &Misbehaviour::Fail(kind)).await;
                stage.check_settled(&view, &format!("call {call} fails with {kind:?}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_found_out_and_changes_nothing() {
    for scene in SCENES {
        for call in 0..calls(scene).await {
            for what in [Misbehaviour::LoseReply, Misbehaviour::HangAfter, Misbehaviour::DelayReply(Duration::MAX / 4)]
            {
                let stage = Stage::new(scene);
                let view = disturbed(&stage, call, &what).await;
                let why = format!("call {call}: {what:?}");
                check_ended(&stage, &view, &why);
                stage.check_settled(&view, &why);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_messenger_without_an_answer_holds_nothing_up_and_tells_nothing_twice() {
    for scene in SCENES {
        for (what, told) in [(Misbehaviour::LoseReply, 1), (Misbehaviour::Hang, 0)] {
            let stage = Stage::new(scene);
            stage.world.remember_keys(false);
            stage.world.on_effect(is_note, u32::MAX, what.clone());
            let life = stage.life().await;
            let run = stage.start(&life).await;
            let view = life.settled(&run).await;
            let notes: Vec<_> = view.steps.iter().filter(|s| is_note(&s.effect)).collect();
            assert!(!notes.is_empty(), "{scene:?} tells nobody");
            assert!(notes.iter().all(|s| s.status == StepStatus::PassedOver), "{scene:?}, {what:?}: {notes:#?}");
            let result = RunResult::DoneWithWarnings;
            assert_eq!(view.condition, Condition::Ended { result }, "{scene:?}, {what:?}: {view:#?}");
            assert_eq!(stage.world.notes().len(), told * notes.len(), "{scene:?}, {what:?}");
            stage.check_settled(&view, &format!("{what:?} of every note"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_a_command_that_may_not_run_twice_waits_for_a_person() {
    for scene in [Scene::RegionLost, Scene::Switchover] {
        let stage = Stage::with_opaque_command(scene);
        stage.world.on_effect(|e| matches!(e, Effect::Command { .. }), 1, Misbehaviour::LoseReply);
        let life = stage.life().await;
        let run = stage.start(&life).await;
        let view = life.settled(&run).await;
        let stuck: Vec<_> = view.steps.iter().filter(|s| s.status == StepStatus::Stuck).collect();
        assert_eq!(stuck.len(), 1, "{view:#?}");
        assert!(matches!(stuck[0].effect, Effect::Command { .. }), "{:?}", stuck[0]);
        assert_eq!(stage.world.commands().len(), 1, "it ran once");
        let view = life.ended(&run).await;
        assert_eq!(view.condition, Condition::Ended { result: RunResult::DoneWithWarnings });
        assert_eq!(stage.world.commands().len(), 1, "it was passed over, not run again");
        stage.check_settled(&view, "after a person looked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_begins_is_sent_again_under_its_key() {
    for scene in SCENES {
        for call in 0..calls(scene).await {
            let stage = Stage::new(scene);
            let view = disturbed(&stage, call, &Misbehaviour::Hang).await;
            let why = format!("call {call} hangs");
            check_ended(&stage, &view, &why);
            stage.check_settled(&view, &why);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn long_work_is_asked_after_until_it_is_done() {
    for scene in SCENES {
        for call in 0..calls(scene).await {
            let stage = Stage::new(scene);
            let view = disturbed(&stage, call, &Misbehaviour::Accept { polls: 3 }).await;
            let why = format!("call {call} is accepted");
            assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}, {why}: {view:#?}");
            stage.check_settled(&view, &why);
        }
    }
}

/// Writers wait meanwhile.
#[tokio::test(start_paused = true)]
async fn a_stop_that_is_refused_in_the_end_or_never_ends_is_taken_back() {
    let stops = |e: &Effect| matches!(e, Effect::StopWrites { .. });
    let hands_over = |e: &Effect| matches!(e, Effect::AwaitPosition { .. });
    for is_meant in [stops as fn(&Effect) -> bool, hands_over] {
        for what in [Misbehaviour::AcceptAndRefuse, Misbehaviour::Accept { polls: u32::MAX }] {
            let stage = Stage::new(Scene::Switchover);
            stage.world.on_effect(is_meant, u32::MAX, what.clone());
            let life = stage.life().await;
            let run = stage.start(&life).await;
            let view = life.settled(&run).await;
            life.kill().await;
            assert_eq!(view.condition, Condition::Ended { result: RunResult::Undone }, "{what:?}: {view:#?}");
            stage.check_settled(&view, &format!("{what:?}"));
        }
    }
}

/// Sends every effect twice under its key, as a network that repeats requests does.
struct Twice(Arc<dyn Driver>);

#[async_trait]
impl Driver for Twice {
    fn describe(&self) -> Descriptor {
        self.0.describe()
    }
    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.0.observe(target).await
    }
    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.0.preflight(effect).await
    }
    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let _ = self.0.apply(effect, context).await;
        self.0.apply(effect, context).await
    }
    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.0.resume(handle, context).await
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_may_be_sent_twice() {
    for scene in SCENES {
        let stage = Stage::new(scene);
        let twice: Arc<dyn Driver> = Arc::new(Twice(Arc::new(stage.router())));
        let life = stage.life_on(Arc::clone(&stage.journal), twice).await;
        let run = stage.start(&life).await;
        let view = life.settled(&run).await;
        assert_eq!(view.condition, Condition::Ended { result: RunResult::Done }, "{scene:?}: {view:#?}");
        stage.check_settled(&view, "each twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_always_fails_ends_undone_or_with_a_named_person_to_act() {
    for scene in SCENES {
        for kind in KINDS {
            let runbook = Stage::new(scene).runbook_when_broken().await;
            for step in &runbook.steps {
                let stage = Stage::new(scene);
                let wanted = step.effect.clone();
                stage.world.on_effect(move |e| is_same(e, &wanted), u32::MAX, Misbehaviour::Fail(kind));
                let life = stage.life().await;
                let run = stage.start(&life).await;
                let view = life.settled(&run).await;
                stage.check_settled(&view, &format!("step {} always fails with {kind:?}", step.id));
                life.kill().await;
            }
        }
    }
}

/// The same effect, whatever position was filled in.
fn is_same(one: &Effect, other: &Effect) -> bool {
    match (one, other) {
        (Effect::AwaitPosition { component, region, .. }, Effect::AwaitPosition { component: c, region: r, .. }) => {
            (component, region) == (c, r)
        }
        _ => one == other,
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_leaves_a_stuck_step_and_a_living_engine() {
    struct Panics(Arc<dyn Driver>);
    #[async_trait]
    impl Driver for Panics {
        fn describe(&self) -> Descriptor {
            self.0.describe()
        }
        async fn observe(&self, target: &Target) -> Result<State, Failure> {
            self.0.observe(target).await
        }
        async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
            self.0.preflight(effect).await
        }
        async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
            assert!(!matches!(effect, Effect::Route { .. }), "no way");
            self.0.apply(effect, context).await
        }
    }
    let stage = Stage::new(Scene::Switchover);
    let life = stage.life_on(Arc::clone(&stage.journal), Arc::new(Panics(Arc::new(stage.router())))).await;
    let run = stage.start(&life).await;
    let view = life.settled(&run).await;
    let stuck: Vec<_> = view.steps.iter().filter(|s| s.status == StepStatus::Stuck).map(|s| s.id.as_str()).collect();
    assert_eq!(stuck, ["route-name"], "{view:#?}");
}

#[tokio::test(start_paused = true)]
async fn instances_that_are_never_ready_fail_the_move_with_what_was_seen_last() {
    /// A look at instances takes a while, so the last one is cut short by the end of the step.
    struct Slow(Arc<dyn Driver>, TokioClock);
    #[async_trait]
    impl Driver for Slow {
        fn describe(&self) -> Descriptor {
            self.0.describe()
        }
        async fn observe(&self, target: &Target) -> Result<State, Failure> {
            if target.component.as_str() == "payments" {
                self.1.sleep(Duration::from_millis(700)).await;
            }
            self.0.observe(target).await
        }
        async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
            self.0.preflight(effect).await
        }
        async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
            self.0.apply(effect, context).await
        }
    }
    let stage = Stage::new(Scene::Switchover);
    stage.world.start_takes(Duration::from_secs(100_000));
    let slow = Arc::new(Slow(Arc::new(stage.router()), stage.clock));
    let life = stage.life_on(Arc::clone(&stage.journal), slow).await;
    let run = stage.start(&life).await;
    let waits = |view: &RunView| {
        view.steps.iter().any(|s| s.note.as_deref() == Some("waits, last seen: 1 of 2 instances ready"))
    };
    life.until(&run, "waits", |view| waits(view) && !life.engine.waits(&run).is_empty()).await;
    assert_eq!(life.engine.waits(&run), ["scale-payments-west waits: 1 of 2 instances ready"]);
    let view = life.settled(&run).await;
    assert!(!waits(&view) && life.engine.waits(&run).is_empty(), "{view:#?}");
    let records = life.engine.records(&run).await.unwrap();
    let failed = records.iter().find_map(|r| match &r.event {
        Event::StepFailed { step, why } if step.as_str() == "scale-payments-west" => Some(why.clone()),
        _ => None,
    });
    let why = failed.unwrap_or_else(|| panic!("{records:#?}"));
    assert!(why.ends_with("its end was not seen: 1 of 2 instances ready"), "{why}");
    stage.check("never ready");
}

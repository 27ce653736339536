//! What "unreachable" and "outcome unknown" mean, and which heartbeats count. Time is tokio's, paused.

use super::{Hub, RemoteAgent, Unwelcome};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, EffectKey, Epoch, Region, RunId, StepId, Unit};
use pilotlight_core::lease::granters_lease;
use pilotlight_core::observation::{Newest, Role, Sentinel, State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::protocol::{Answer, Heartbeat, Job, OLDEST, Seen, TaskResult, VERSION};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_core::verdict::AgentSight;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::{Context, Driver};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Tokio's time, which a test may pause.
struct TokioClock(Instant);

#[async_trait]
impl Clock for TokioClock {
    fn mono(&self) -> Mono {
        Mono(self.0.elapsed())
    }
    fn wall(&self) -> Wall {
        Wall(0)
    }
    async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }
}

const RENEW: Duration = Duration::from_millis(200);
const LEASE: Duration = Duration::from_secs(3);

fn hub() -> Arc<Hub> {
    let clock = Arc::new(TokioClock(Instant::now()));
    Hub::new(clock, [&Region::from("east")], RENEW, LEASE)
}

fn heartbeat(instance: &str, sequence: u64, sees: Vec<Seen>) -> Heartbeat {
    let (region, instance) = (Region::from("east"), instance.to_owned());
    Heartbeat {
        version: OLDEST,
        speaks: VERSION,
        region,
        instance,
        place: String::new(),
        sequence,
        sees,
        sentinels: Default::default(),
        sentinel: None,
        steady_from: 0,
        ports: vec![],
        health: vec![],
        wishes: vec![],
        heard: Default::default(),
        term: Default::default(),
        accord: None,
    }
}

fn remote(hub: &Arc<Hub>) -> Arc<RemoteAgent> {
    let descriptor = Descriptor {
        capabilities: [Capability::Fence].into(),
        guard: Guard::Enforced,
        fence_assurance: FenceAssurance::Proven,
        atomic_switch: false,
        told_to_follow: false,
        needs_agent: true,
        pace: Pace::Seconds,
    };
    Arc::new(RemoteAgent::new(hub.clone(), Region::from("east"), descriptor))
}

fn fence() -> Effect {
    Effect::Fence { component: "database".into(), region: "east".into() }
}

fn context(deadline: Duration) -> Context {
    let key = EffectKey::new(&RunId::from("run-1"), &StepId::from("fence"), 1);
    Context { unit: Unit::from("payments"), epoch: Epoch(2), key, deadline, cancel: CancellationToken::new() }
}

async fn next_task(hub: &Hub, instance: &str) -> pilotlight_core::protocol::Task {
    let tasks = hub.work(&Region::from("east"), instance, "", Duration::from_secs(5)).await.unwrap();
    assert_eq!(tasks.len(), 1, "one task was sent: {tasks:?}");
    tasks.into_iter().next().unwrap()
}

fn done(id: String) -> TaskResult {
    TaskResult {
        region: "east".into(),
        instance: "a".to_owned(),
        place: String::new(),
        id,
        answer: Answer::Returned { outcome: Outcome::done() },
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_an_agent_that_is_not_heard() {
    let hub = hub();
    let began = Instant::now();
    let failure = remote(&hub).apply(&fence(), &context(LEASE * 10)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("was not heard"), "{failure}");
    assert_eq!(began.elapsed(), LEASE, "before that its silence says nothing");
    let failure = remote(&hub).apply(&fence(), &context(LEASE)).await.unwrap_err();
    assert_eq!((failure.kind, began.elapsed()), (FailureKind::Unreachable, LEASE), "only once");

    hub.heartbeat(heartbeat("a", 1, vec![])).unwrap();
    tokio::time::advance(RENEW * 4).await;
    let failure = remote(&hub).apply(&fence(), &context(LEASE)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.message.contains("silent for 800 ms"), "{failure}");
    assert_eq!(hub.work(&"east".into(), "a", "", Duration::ZERO).await.unwrap(), vec![]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_started_anew_keeps_what_was_told_before_and_how_old_that_is() {
    let hub = hub();
    hub.heartbeat(wrote("a", 1, &[("database", 7)])).unwrap();
    let seen = || {
        let agents = hub.agents();
        let east = &agents[&Region::from("east")];
        (told(east), east.met)
    };
    let first = hub.clock.mono();
    let database = |at| vec![("database".to_owned(), 7, at)];
    assert_eq!(seen(), (database(first), Some(first)));
    tokio::time::advance(RENEW * 5).await;
    hub.heartbeat(heartbeat("b", 1, vec![])).unwrap();
    let anew = hub.clock.mono();
    tokio::time::advance(RENEW).await;
    hub.heartbeat(heartbeat("b", 2, vec![])).unwrap();
    assert_eq!(seen(), (database(first), Some(anew)), "it has written none");
}

/// A heartbeat that tells of these sentinels.
fn wrote(instance: &str, sequence: u64, numbers: &[(&str, u64)]) -> Heartbeat {
    let newest = |number| Newest { sentinel: Sentinel { number, written: Wall(1) }, steady_from: number };
    let sentinels = numbers.iter().map(|(component, number)| (Component::from(*component), newest(*number))).collect();
    Heartbeat { sentinels, ..heartbeat(instance, sequence, vec![]) }
}

/// What was told of which component, and when.
fn told(east: &AgentSight) -> Vec<(String, u64, Mono)> {
    let all = east.sentinels.iter();
    all.map(|(component, (newest, at))| (component.to_string(), newest.sentinel.number, *at)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_sentinels_of_each_component_are_kept_apart() {
    let hub = hub();
    let east = || hub.agents()[&Region::from("east")].clone();
    let first = hub.clock.mono();
    hub.heartbeat(wrote("a", 1, &[("accounts", 500), ("database", 1_000_000)])).unwrap();
    tokio::time::advance(RENEW).await;
    let now = hub.clock.mono();
    hub.heartbeat(wrote("b", 1, &[("accounts", 501)])).unwrap();
    let both = [("accounts".to_owned(), 501, now), ("database".to_owned(), 1_000_000, first)];
    assert_eq!(told(&east()), both, "a new process has written to one of them");

    let sentinel = Sentinel { number: 502, written: Wall(1) };
    let old = Heartbeat { sentinel: Some(sentinel), steady_from: 3, ..heartbeat("c", 1, vec![]) };
    hub.heartbeat(old.clone()).unwrap();
    let seen = east();
    assert_eq!((seen.sentinel, seen.steady_from, seen.told), (Some(sentinel), 3, Some(now)));
    assert_eq!(told(&seen), [], "an older agent writes on, and does not say where");

    let sentinels = wrote("d", 1, &[("database", 1_000_001)]).sentinels;
    hub.heartbeat(Heartbeat { sentinels, instance: "d".to_owned(), ..old }).unwrap();
    assert_eq!(told(&east()), [("database".to_owned(), 1_000_001, now)], "what has a name counts");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_a_new_leader_begins_waits_for_an_agent_that_has_not_found_it_yet() {
    let hub = hub();
    let agent = remote(&hub);
    let applying = tokio::spawn(async move { agent.apply(&fence(), &context(LEASE * 2)).await });
    tokio::task::yield_now().await;
    tokio::time::advance(LEASE - RENEW).await;
    hub.heartbeat(heartbeat("a", 1, vec![])).unwrap();
    let task = next_task(&hub, "a").await;
    let Job::Apply { context: left, .. } = &task.job else { panic!("an apply was sent: {task:?}") };
    assert!(left.deadline_ms < LEASE + RENEW, "the step has no more time for that: {left:?}");
    hub.result(done(task.id)).unwrap();
    assert_eq!(applying.await.unwrap(), Ok(Outcome::done()));

    let (hub, began) = (self::hub(), Instant::now());
    let failure = remote(&hub).apply(&fence(), &context(RENEW)).await.unwrap_err();
    assert_eq!((failure.kind, began.elapsed()), (FailureKind::Unreachable, RENEW), "its own time is the most");
    let given_up = context(LEASE);
    given_up.cancel.cancel();
    let failure = remote(&hub).apply(&fence(), &given_up).await.unwrap_err();
    assert_eq!((failure.kind, began.elapsed()), (FailureKind::Unreachable, RENEW));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_not_fetched_is_withdrawn_and_one_that_was_is_unknown() {
    let hub = hub();
    hub.heartbeat(heartbeat("a", 1, vec![])).unwrap();
    let failure = remote(&hub).apply(&fence(), &context(Duration::from_secs(1))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
    assert_eq!(hub.work(&"east".into(), "a", "", Duration::ZERO).await.unwrap(), vec![], "it will not be done later");

    hub.heartbeat(heartbeat("a", 2, vec![])).unwrap();
    let agent = remote(&hub);
    let applying = tokio::spawn(async move { agent.apply(&fence(), &context(Duration::from_secs(1))).await });
    let task = next_task(&hub, "a").await;
    let failure = applying.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
    hub.result(done(task.id)).expect("a late result is taken and forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_lost_agent_is_not_waited_for_until_the_deadline() {
    let hub = hub();
    hub.heartbeat(heartbeat("a", 1, vec![])).unwrap();
    let agent = remote(&hub);
    let began = Instant::now();
    let applying = tokio::spawn(async move { agent.apply(&fence(), &context(Duration::from_secs(600))).await });
    next_task(&hub, "a").await;
    let failure = applying.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
    assert!(began.elapsed() < LEASE + Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_task_is_delivered_again_until_its_result_is_here() {
    let hub = hub();
    hub.heartbeat(heartbeat("a", 1, vec![])).unwrap();
    let agent = remote(&hub);
    let applying = tokio::spawn(async move { agent.apply(&fence(), &context(Duration::from_secs(10))).await });
    let first = next_task(&hub, "a").await;
    let began = Instant::now();
    assert_eq!(next_task(&hub, "a").await, first, "the answer may have been lost");
    assert!(began.elapsed() >= super::tasks::AGAIN);
    assert_eq!(next_task(&hub, "b").await, first, "a restarted agent gets it at once");
    let Job::Apply { context, .. } = &first.job else { panic!("an apply was sent: {first:?}") };
    assert!(context.deadline_ms < Duration::from_secs(10), "the answer needs time too");
    hub.result(done(first.id.clone())).unwrap();
    hub.result(done(first.id)).expect("a result may be sent twice");
    assert_eq!(applying.await.unwrap(), Ok(Outcome::done()));
    assert_eq!(hub.work(&"east".into(), "b", "", Duration::ZERO).await.unwrap(), vec![]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_nothing_of_what_an_earlier_process_of_the_agent_began() {
    for (second, kind) in [("a", FailureKind::Transient), ("b", FailureKind::OutcomeUnknown)] {
        let hub = hub();
        hub.heartbeat(heartbeat("a", 1, vec![])).unwrap();
        let agent = remote(&hub);
        let applying = tokio::spawn(async move { agent.apply(&fence(), &context(Duration::from_secs(10))).await });
        let task = next_task(&hub, "a").await;
        assert_eq!(next_task(&hub, second).await, task);
        let answer = Answer::Failed { failure: Failure::transient("it is no standby that runs").hint("look") };
        hub.result(TaskResult { answer, ..done(task.id) }).unwrap();
        let failure = applying.await.unwrap().unwrap_err();
        assert_eq!((failure.kind, failure.hint.as_deref()), (kind, Some("look")), "given to {second}: {failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_its_task_along() {
    let hub = hub();
    hub.heartbeat(heartbeat("a", 1, vec![])).unwrap();
    let agent = remote(&hub);
    let gave_up = tokio::time::timeout(RENEW, agent.apply(&fence(), &context(LEASE))).await;
    assert!(gave_up.is_err());
    assert_eq!(hub.work(&"east".into(), "a", "", Duration::ZERO).await.unwrap(), vec![]);
}

#[tokio::test(start_paused = true)]
async fn an_old_heartbeat_undoes_nothing() {
    let hub = hub();
    let target = Target { component: "database".into(), region: Some("east".into()) };
    let sees = |role| {
        let state = State { role: Some(role), ..State::default() };
        vec![Seen { target: target.clone(), state: state.into(), age_ms: Duration::from_millis(50) }]
    };
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(hub.heartbeat(heartbeat("a", 7, sees(Role::Writer))), Ok(true));
    assert_eq!(hub.heartbeat(heartbeat("a", 6, sees(Role::Unknown))), Ok(false));
    let role = |hub: &Hub| hub.agents()[&Region::from("east")].seen[&target].clone();
    assert_eq!(role(&hub).0.role, Some(Role::Writer));
    assert_eq!(role(&hub).1, Mono(Duration::from_millis(4_950)), "counted back from its arrival");

    assert_eq!(hub.heartbeat(heartbeat("b", 1, sees(Role::Unresponsive))), Ok(true), "a restarted agent counts anew");
    let replaced = Unwelcome::Replaced { region: "east".into() };
    assert_eq!(hub.heartbeat(heartbeat("a", 8, sees(Role::Writer))), Err(replaced));
    assert_eq!(role(&hub).0.role, Some(Role::Unresponsive));
    let stranger = Heartbeat { region: "mars".into(), ..heartbeat("c", 1, vec![]) };
    assert!(matches!(hub.heartbeat(stranger), Err(Unwelcome::UnknownRegion { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_agent_at_another_place_is_not_heard_until_the_first_has_lost_its_lease() {
    let hub = hub();
    let at = |place: &str, instance: &str, sequence| Heartbeat {
        place: place.to_owned(),
        ..heartbeat(instance, sequence, vec![])
    };
    assert_eq!(hub.heartbeat(at("here", "a", 1)), Ok(true));
    let elsewhere = Unwelcome::Elsewhere { region: "east".into(), place: "here".to_owned() };
    assert_eq!(hub.heartbeat(at("a copy of here", "b", 1)), Err(elsewhere.clone()));
    let work = hub.work(&"east".into(), "b", "a copy of here", Duration::ZERO).await;
    assert_eq!(work, Err(elsewhere.clone()), "nor is it asked to do anything");
    assert_eq!(hub.heartbeat(at("here", "c", 1)), Ok(true), "restarted where it was");
    tokio::time::advance(granters_lease(LEASE)).await;
    assert_eq!(hub.heartbeat(at("a copy of here", "b", 2)), Err(elsewhere), "the lease is counted as the granter does");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(hub.heartbeat(at("a copy of here", "b", 3)), Ok(true), "a new machine in its stead");
}

#[tokio::test(start_paused = true)]
async fn an_agent_comes_back_when_the_one_that_took_over_has_gone() {
    let hub = hub();
    assert_eq!(hub.heartbeat(heartbeat("a", 1, vec![])), Ok(true));
    assert_eq!(hub.heartbeat(heartbeat("b", 1, vec![])), Ok(true), "started by mistake");
    tokio::time::advance(LEASE).await;
    let replaced = Unwelcome::Replaced { region: "east".into() };
    assert_eq!(hub.heartbeat(heartbeat("a", 2, vec![])), Err(replaced.clone()), "it was heard a lease ago");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(hub.heartbeat(heartbeat("a", 3, vec![])), Ok(true), "nobody else speaks for the region");
    assert_eq!(hub.heartbeat(heartbeat("b", 2, vec![])), Err(replaced), "now that one is replaced");
}

#[tokio::test(start_paused = true)]
async fn another_role_or_being_heard_again_is_news_and_figures_are_none() {
    let hub = hub();
    let target = Target { component: "database".into(), region: Some("east".into()) };
    let seen = |role: Role, facts: &str| {
        let state =
            State { role: Some(role), facts: [("pid".to_owned(), facts.to_owned())].into(), ..State::default() };
        vec![Seen { target: target.clone(), state: state.into(), age_ms: Duration::ZERO }]
    };
    let mut sequence = 0;
    let mut is_news = |sees: Vec<Seen>| {
        let before = hub.news().get();
        sequence += 1;
        assert!(hub.heartbeat(heartbeat("a", sequence, sees)).unwrap());
        hub.news().get() > before
    };
    assert!(is_news(seen(Role::Writer, "1")), "it was never heard");
    assert!(!is_news(seen(Role::Writer, "2")));
    assert!(is_news(seen(Role::Unresponsive, "2")));
    assert!(!is_news(seen(Role::Unresponsive, "2")));
    tokio::time::advance(LEASE).await;
    assert!(is_news(seen(Role::Unresponsive, "2")), "it was silent");
}

#[tokio::test(start_paused = true)]
async fn what_an_old_agent_does_not_know_is_refused_by_name_before_it_is_sent() {
    let hub = hub();
    let region = Region::from("east");
    assert_eq!((hub.speaks(&region), hub.understands(&region, VERSION)), (None, Ok(())), "not heard yet");
    let old = Heartbeat { speaks: OLDEST, ..heartbeat("a", 1, vec![]) };
    hub.heartbeat(old).unwrap();
    assert_eq!(hub.understands(&region, OLDEST), Ok(()));
    let why = hub.understands(&region, VERSION).unwrap_err();
    assert!(why.contains("speaks version 2") && why.contains("needs 3"), "{why}");
    let failure = remote(&hub).question(Job::Unread { why: String::new() }, LEASE).await.unwrap_err();
    assert_eq!(failure.coded().0, Some(pilotlight_core::code::AGENT_OLD), "{failure}");
    hub.heartbeat(heartbeat("b", 1, vec![])).unwrap();
    assert_eq!(hub.understands(&region, VERSION), Ok(()), "it was updated");
}

#[tokio::test(start_paused = true)]
async fn an_open_task_is_answered_by_a_process_that_may_have_been_given_it() {
    let hub = hub();
    let region = Region::from("east");
    hub.heartbeat(Heartbeat { place: "here".to_owned(), ..heartbeat("a", 1, vec![]) }).unwrap();
    let target = Target { component: "database".into(), region: Some(region.clone()) };
    let (id, mut answer) = hub.add(&region, Job::Observe { target }).unwrap();
    let from = |instance: &str, place: &str| {
        let (instance, place) = (instance.to_owned(), place.to_owned());
        hub.result(TaskResult { instance, place, ..done(id.clone()) })
    };
    assert_eq!(from("b", "here"), Err(Unwelcome::Stranger { region }));
    assert!(matches!(from("a", "elsewhere"), Err(Unwelcome::Elsewhere { .. })));
    assert!(answer.try_recv().is_err(), "nothing of it was taken");
    assert_eq!(from("a", "here"), Ok(()));
    assert!(answer.try_recv().is_ok());
    assert_eq!(from("b", "here"), Ok(()), "nobody waits for it any more: it is taken and forgotten");
}

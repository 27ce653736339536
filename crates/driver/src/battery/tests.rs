//! Every battery on the fake, bare and behind the guard; and on fakes that break a law, which must be found.

use super::{
    Bench, CapacityBench, CommandBench, DataBench, MessageBench, Pair, ProbeBench, RescueBench, TrafficBench, capacity,
    command, confirmed, fence, message, probe, replicated, rescue, sentinel, traffic,
};
use crate::fake::{FakeDriver, Misbehaviour, World};
use crate::guard::Guarded;
use crate::{Context, Driver};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, CommandLine, Descriptor, Effect, FenceAssurance, Guard, Probe};
use pilotlight_core::id::{Component, EffectKey, Epoch, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Outcome, Output};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue::{Answer, Question};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A bench over a world that is new for each pair.
struct Fake<D> {
    world: World,
    driver: D,
}

fn world() -> World {
    World::new()
        .with_database("db", &["east", "west"])
        .with_database("db2", &["east", "west"])
        .with_process("app", &[("west", 0)])
        .with_traffic("name", "east")
}

impl Fake<FakeDriver> {
    fn bare() -> Self {
        let world = world();
        Self { driver: FakeDriver::everything(&world), world }
    }
}

impl<D: Driver> Fake<D> {
    fn of(driver: impl FnOnce(&World) -> D) -> Self {
        let world = world();
        Self { driver: driver(&world), world }
    }
}

fn guarded(world: &World, folder: &TempDir) -> Guarded<FakeDriver> {
    Guarded::open(FakeDriver::unguarded(world), folder.path()).unwrap()
}

impl<D: Driver> Bench for Fake<D> {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

/// Pairs are the components `db` and `db2`, in this order.
struct Data<D> {
    fake: Fake<D>,
    given: Mutex<Vec<&'static str>>,
    replay_lag: u64,
}

impl<D> Data<D> {
    fn new(fake: Fake<D>) -> Self {
        Self { fake, given: Mutex::new(vec!["db2", "db"]), replay_lag: 2 }
    }

    /// Sentinels are waited for although nothing is written after them.
    fn without_lag(fake: Fake<D>) -> Self {
        Self { replay_lag: 0, ..Self::new(fake) }
    }

    fn component(&self) -> &'static str {
        if self.given.lock().unwrap().contains(&"db2") { "db" } else { "db2" }
    }
}

impl<D: Driver> Bench for Data<D> {
    fn driver(&self) -> &dyn Driver {
        &self.fake.driver
    }
}

#[async_trait]
impl<D: Driver> DataBench for Data<D> {
    async fn pair(&self) -> Pair {
        let component = self.given.lock().unwrap().pop().expect("no battery needs more than two pairs");
        self.fake.world.set_lag(component, "west", 0, self.replay_lag);
        Pair { component: component.into(), writer: "east".into(), standby: "west".into() }
    }

    async fn write(&self, region: &Region) -> Result<u64, String> {
        self.fake.world.write(self.component(), region.as_str()).map_err(|f| f.to_string())
    }

    async fn held(&self, region: &Region) -> BTreeSet<u64> {
        let missing = self.fake.world.missing(self.component(), region.as_str());
        let missing: BTreeSet<_> = missing.into_iter().map(|a| a.number).collect();
        let held = self.fake.world.copy(self.component(), region.as_str()).unwrap().received;
        let restored = self.fake.world.restored(self.component());
        (1..=held).filter(|n| !missing.contains(n)).chain(restored).collect()
    }

    async fn kill(&self, region: &Region) {
        self.fake.world.kill(self.component(), region.as_str());
    }
}

#[async_trait]
impl<D: Driver> RescueBench for Data<D> {
    async fn sever(&self, standby: &Region) {
        self.fake.world.set_lag(self.component(), standby.as_str(), 1_000_000, 0);
    }
}

#[async_trait]
impl<D: Driver> TrafficBench for Fake<D> {
    async fn name(&self) -> (Component, Region, Region) {
        ("name".into(), "east".into(), "west".into())
    }

    async fn users_go_to(&self) -> Vec<Region> {
        self.world.shares("name").into_iter().filter(|(_, share)| *share > 0).map(|(r, _)| r).collect()
    }
}

#[async_trait]
impl<D: Driver> CapacityBench for Fake<D> {
    async fn process(&self) -> (Component, Region) {
        self.world.start_takes(Duration::from_millis(500));
        ("app".into(), "west".into())
    }

    async fn running(&self) -> u32 {
        let target = Target { component: "app".into(), region: Some("west".into()) };
        self.driver.observe(&target).await.unwrap().capacity.unwrap().ready
    }

    async fn kill_one(&self) -> bool {
        false
    }
}

#[async_trait]
impl<D: Driver> CommandBench for Fake<D> {
    fn prints(&self, text: &str) -> CommandLine {
        self.world.command_ends("prints", 0, text);
        program("prints", false)
    }

    fn ends_with(&self, code: i32, text: &str) -> CommandLine {
        self.world.command_ends("fails", code, text);
        program("fails", false)
    }

    fn lasts(&self, idempotent: bool) -> CommandLine {
        let minute = Duration::from_secs(60);
        let late = if idempotent { Misbehaviour::Delay(minute) } else { Misbehaviour::DelayReply(minute) };
        self.world.on_next(late);
        program("lasts", idempotent)
    }

    fn counts(&self) -> CommandLine {
        program("counts", false)
    }

    async fn runs(&self) -> u32 {
        let ran = self.world.commands().into_iter().filter(|(c, _)| c.argv == ["counts"]).count();
        u32::try_from(ran).unwrap()
    }
}

fn program(name: &str, idempotent: bool) -> CommandLine {
    CommandLine { argv: vec![name.to_owned()], env: BTreeMap::new(), idempotent }
}

fn tcp(address: &str) -> Probe {
    Probe::Tcp { address: address.to_owned(), timeout_ms: Duration::from_millis(100) }
}

#[async_trait]
impl<D: Driver> ProbeBench for Fake<D> {
    async fn working(&self) -> Vec<Probe> {
        vec![tcp("10.0.0.1:1")]
    }

    async fn failing(&self) -> Vec<(Probe, String)> {
        self.world.probe_works("10.0.0.2:1", false);
        vec![(tcp("10.0.0.2:1"), "does not work".to_owned())]
    }

    async fn silent(&self) -> Vec<Probe> {
        Vec::new()
    }
}

#[async_trait]
impl<D: Driver> MessageBench for Fake<D> {
    fn component(&self) -> Component {
        "hook".into()
    }

    async fn arrived(&self) -> Vec<String> {
        self.world.notes()
    }

    async fn swallow_next(&self) {
        self.world.on_effect(|_| true, 1, Misbehaviour::LoseReply);
    }

    async fn refuse(&self) {
        self.world.on_effect(|_| true, u32::MAX, Misbehaviour::Fail(FailureKind::Transient));
    }
}

async fn small_batteries<D: Driver>(make: impl Fn() -> Fake<D>) {
    for report in [
        traffic(&make()).await,
        capacity(&make()).await,
        command(&make()).await,
        probe(&make()).await,
        message(&make()).await,
    ] {
        report.assert_kept();
    }
}

#[tokio::test(start_paused = true)]
async fn the_bare_fake_keeps_every_law() {
    small_batteries(Fake::bare).await;
    let data = Data::new(Fake::bare());
    replicated(&data).await.assert_kept();
    assert_eq!(data.fake.world.violations(), []);
    for report in [
        fence(&Data::new(Fake::bare())).await,
        confirmed(&Data::new(Fake::bare())).await,
        sentinel(&Data::without_lag(Fake::bare())).await,
        rescue(&Data::without_lag(Fake::bare())).await,
    ] {
        report.assert_kept();
    }
}

#[tokio::test(start_paused = true)]
async fn the_guarded_fake_keeps_every_law() {
    let folders: Vec<_> = std::iter::repeat_with(|| TempDir::new().unwrap()).take(10).collect();
    let next = AtomicU64::new(0);
    let make = || {
        let folder = &folders[usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()];
        Fake::of(|world| guarded(world, folder))
    };
    small_batteries(make).await;
    for report in [
        replicated(&Data::new(make())).await,
        fence(&Data::new(make())).await,
        confirmed(&Data::new(make())).await,
        sentinel(&Data::without_lag(make())).await,
        rescue(&Data::without_lag(make())).await,
    ] {
        report.assert_kept();
    }
}

#[tokio::test(start_paused = true)]
async fn the_managed_fake_switches_in_one_call_that_takes_its_time() {
    let data = Data::new(Fake::of(FakeDriver::managed));
    let is_switch = |e: &Effect| matches!(e, Effect::Switch { .. });
    data.fake.world.on_effect(is_switch, 1, Misbehaviour::Accept { polls: 50 });
    replicated(&data).await.assert_kept();
    fence(&Data::new(Fake::of(FakeDriver::managed))).await.assert_kept();
}

/// Breaks one law.
struct Saboteur {
    fake: FakeDriver,
    sabotage: Sabotage,
}

#[derive(Clone, Copy, PartialEq)]
enum Sabotage {
    ForgetsKeys,
    IgnoresEpochs,
    PreflightPromotes,
    AnythingGoes,
    StopHidesItsPosition,
    FenceOnlyTalks,
    StopOnlyTalks,
    ApplyOnlyTalks,
    WaitOnlyTalks,
    TellsAgain,
}

#[async_trait]
impl Driver for Saboteur {
    fn describe(&self) -> Descriptor {
        let best = match self.sabotage {
            Sabotage::FenceOnlyTalks => FenceAssurance::TrafficOnly,
            _ => FenceAssurance::Proven,
        };
        let mut descriptor = self.fake.describe();
        if self.sabotage == Sabotage::AnythingGoes {
            descriptor.capabilities.remove(&Capability::Message);
        }
        Descriptor { guard: Guard::Enforced, fence_assurance: best, ..descriptor }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.fake.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        if self.sabotage == Sabotage::PreflightPromotes {
            let key = EffectKey::new(&"sabotage".into(), &"preflight".into(), 1);
            let (unit, cancel) = ("sabotage".into(), CancellationToken::new());
            let context = Context { unit, epoch: Epoch(1), key, deadline: Duration::from_secs(1), cancel };
            self.fake.apply(effect, &context).await?;
        }
        self.fake.preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        if self.sabotage == Sabotage::FenceOnlyTalks && matches!(effect, Effect::Fence { .. }) {
            let output = Output { assurance: Some(FenceAssurance::Proven), ..Output::default() };
            return Ok(Outcome::Done { output });
        }
        if self.sabotage == Sabotage::StopOnlyTalks && matches!(effect, Effect::StopWrites { .. }) {
            let target = Target { component: "db".into(), region: Some("east".into()) };
            let output = Output { position: self.observe(&target).await?.position, ..Output::default() };
            return Ok(Outcome::Done { output });
        }
        if self.sabotage == Sabotage::ApplyOnlyTalks && matches!(effect, Effect::ApplyRescue { .. }) {
            return Ok(Outcome::done());
        }
        if self.sabotage == Sabotage::WaitOnlyTalks && matches!(effect, Effect::WaitFor { .. }) {
            return Ok(Outcome::done());
        }
        let mut outcome = self.fake.apply(effect, context).await;
        if self.sabotage == Sabotage::TellsAgain && matches!(&outcome, Err(f) if f.kind == FailureKind::OutcomeUnknown)
        {
            let key = EffectKey::new(&"sabotage".into(), &"again".into(), 1);
            outcome = self.fake.apply(effect, &Context { key, ..context.clone() }).await;
        }
        if self.sabotage == Sabotage::StopHidesItsPosition
            && let (Effect::StopWrites { .. }, Ok(Outcome::Done { output })) = (effect, &mut outcome)
        {
            output.position = None;
        }
        outcome
    }

    async fn rescue(&self, target: &Target, question: &Question) -> Result<Answer, Failure> {
        self.fake.rescue(target, question).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.fake.compare(target, first, second).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_law_is_found_by_name() {
    for (sabotage, law) in [
        (Sabotage::ForgetsKeys, "same-key-same-answer"),
        (Sabotage::IgnoresEpochs, "old-epoch-is-refused"),
        (Sabotage::PreflightPromotes, "preflight-changes-nothing"),
        (Sabotage::AnythingGoes, "unsupported-is-said"),
        (Sabotage::StopOnlyTalks, "a-stopped-copy-takes-no-writes"),
        (Sabotage::StopHidesItsPosition, "a-stop-hands-over-its-position"),
    ] {
        let report = replicated(&sabotaged(sabotage)).await;
        assert!(report.broke(law), "{law}: {report}");
    }
    let report = rescue(&Data { replay_lag: 0, ..sabotaged(Sabotage::ApplyOnlyTalks) }).await;
    assert!(report.broke("after-an-apply-nothing-is-missing"), "{report}");
    let report = confirmed(&sabotaged(Sabotage::WaitOnlyTalks)).await;
    for law in ["what-it-waits-for-is-seen", "without-the-candidate-nothing-is-acknowledged"] {
        assert!(report.broke(law), "{law}: {report}");
    }
    let report = message(&sabotaged(Sabotage::TellsAgain).fake).await;
    for law in ["an-unknown-message-holds-nothing-up", "each-message-arrives-once"] {
        assert!(report.broke(law), "{law}: {report}");
    }
    let report = fence(&sabotaged(Sabotage::FenceOnlyTalks)).await;
    for law in ["a-fence-says-how-sure-it-is", "a-fenced-copy-takes-no-writes", "a-fenced-copy-is-seen-fenced"] {
        assert!(report.broke(law), "{law}: {report}");
    }
}

fn sabotaged(sabotage: Sabotage) -> Data<Saboteur> {
    Data::new(Fake::of(|world| {
        let fake = match sabotage {
            Sabotage::ForgetsKeys | Sabotage::IgnoresEpochs => FakeDriver::unguarded(world),
            _ => FakeDriver::everything(world),
        };
        Saboteur { fake, sabotage }
    }))
}

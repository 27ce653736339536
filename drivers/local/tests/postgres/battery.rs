//! The batteries that the fake passes too.

use crate::pair::{Pair, component};
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::{Guarantee, RescuePlan};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue::{Answer, Question};
use pilotlight_driver::battery::{self, Bench, DataBench, RescueBench};
use pilotlight_driver::guard::Guarded;
use pilotlight_driver::{Context, Driver};
use pilotlight_local::postgres::PostgresDriver;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Both servers of the newest pair behind one driver, as the engine's router has them.
#[derive(Default)]
struct Both(Mutex<Option<(Arc<PostgresDriver>, Arc<PostgresDriver>)>>);

impl Both {
    fn of(&self, region: Option<&Region>) -> Result<Arc<PostgresDriver>, Failure> {
        let pair = self.0.lock().unwrap().clone();
        let Some((east, west)) = pair else { return Err(Failure::unsupported("there is no pair yet")) };
        Ok(if region.is_some_and(|r| r.as_str() == "west") { west } else { east })
    }

    fn any(&self) -> Arc<PostgresDriver> {
        self.of(None).expect("a pair")
    }
}

#[async_trait]
impl Driver for Both {
    fn describe(&self) -> Descriptor {
        self.any().describe()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.of(target.region.as_ref())?.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.of(effect.region())?.preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.of(effect.region())?.apply(effect, context).await
    }

    async fn rescue(&self, target: &Target, question: &Question) -> Result<Answer, Failure> {
        self.of(target.region.as_ref())?.rescue(target, question).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.of(target.region.as_ref())?.compare(target, first, second).await
    }
}

/// A write that waits for somebody who is not there is never acknowledged; one that waits for nobody is in far less.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

struct RealBench {
    driver: Guarded<Both>,
    pairs: tokio::sync::Mutex<Vec<Pair>>,
    numbers: AtomicU64,
    rescue: RescuePlan,
    guarantee: Guarantee,
    _ledger: tempfile::TempDir,
}

impl RealBench {
    async fn new() -> RealBench {
        RealBench::with(RescuePlan::default()).await
    }

    async fn with(rescue: RescuePlan) -> RealBench {
        let ledger = tempfile::tempdir().unwrap();
        let driver = Guarded::open(Both::default(), ledger.path()).unwrap();
        let bench = RealBench {
            driver,
            pairs: tokio::sync::Mutex::default(),
            numbers: AtomicU64::new(1),
            rescue,
            guarantee: Guarantee::BestEffort,
            _ledger: ledger,
        };
        bench.next_pair(Pair::bare().await).await;
        bench
    }

    async fn next_pair(&self, pair: Pair) {
        *self.driver.inner().0.lock().unwrap() = Some((pair.east.clone(), pair.west.clone()));
        let mut pairs = self.pairs.lock().await;
        pairs.clear();
        pairs.push(pair);
    }
}

impl Bench for RealBench {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl DataBench for RealBench {
    async fn pair(&self) -> battery::Pair {
        self.pairs.lock().await.clear();
        let pair = match self.guarantee {
            Guarantee::BestEffort => Pair::started_rescuing(self.rescue.clone()).await,
            waits => Pair::started_with(waits).await,
        };
        self.next_pair(pair).await;
        battery::Pair { component: component(), writer: "east".into(), standby: "west".into() }
    }

    async fn write(&self, region: &Region) -> Result<u64, String> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let pairs = self.pairs.lock().await;
        let paid = tokio::time::timeout(ACKNOWLEDGED, pairs[0].pay(region.as_str(), number)).await;
        paid.map_err(|_| format!("not within {ACKNOWLEDGED:?}"))?.map(|()| number)
    }

    async fn held(&self, region: &Region) -> BTreeSet<u64> {
        self.pairs.lock().await[0].paid(region.as_str()).await
    }

    async fn kill(&self, region: &Region) {
        self.pairs.lock().await[0].hit(region.as_str(), nix::sys::signal::Signal::SIGKILL);
    }
}

#[async_trait]
impl RescueBench for RealBench {
    async fn sever(&self, _: &Region) {
        self.pairs.lock().await[0].sever().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rescues_keep_their_laws() {
    battery::rescue(&RealBench::with(Pair::rows()).await).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicated_data_keeps_its_laws() {
    battery::replicated(&RealBench::new().await).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn fences_keep_their_laws() {
    battery::fence(&RealBench::new().await).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_keep_their_laws() {
    battery::sentinel(&RealBench::new().await).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_keeps_its_laws() {
    let bench = RealBench { guarantee: Guarantee::Strict, ..RealBench::new().await };
    battery::confirmed(&bench).await.assert_kept();
}

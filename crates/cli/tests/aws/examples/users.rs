//! Users of an example, in modelled time: where they are led, whether a task runs there, whether its database acknowledges;
//! and what that says of RTO, RPO and the course by which users follow a name.

use crate::ground::Ground;
use crate::wait::pace;
use pilotlight_core::id::Region;
use pilotlight_core::plan::aws::AwsComponent;
use pilotlight_core::plan::{Kind, Plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// Something that holds rows: the server's word for it, and its name in each region.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) word: Option<&'static str>,
    pub(super) names: BTreeMap<String, String>,
}

/// What a user of the example needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    name: Option<String>,
    listener: Option<String>,
    /// Questions to the server for what must run, by region.
    runs: Vec<BTreeMap<String, String>>,
    /// The first is the database.
    pub(super) stores: Vec<Store>,
}

impl Service {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut service = Service::default();
        let mut others = Vec::new();
        let text = |r: &Region| r.to_string();
        for component in plan.components.values() {
            let Kind::Aws(aws) = &component.kind else { continue };
            match aws {
                AwsComponent::Aurora(a) => service.stores.push(Store {
                    word: None,
                    names: a.regions.iter().map(|(r, m)| (text(r), m.cluster.clone())).collect(),
                }),
                AwsComponent::Rds(rds) => service.stores.push(Store {
                    word: None,
                    names: rds.regions.iter().map(|(r, i)| (text(r), i.instance.clone())).collect(),
                }),
                AwsComponent::ElastiCache(cache) => others.push(Store {
                    word: Some("cache"),
                    names: cache.regions.iter().map(|(r, g)| (text(r), g.group.clone())).collect(),
                }),
                AwsComponent::S3(s3) => others.push(Store {
                    word: Some("objects"),
                    names: s3.regions.iter().map(|(r, b)| (text(r), b.bucket.clone())).collect(),
                }),
                AwsComponent::Eks(nodes) => service.runs.push(
                    nodes
                        .regions
                        .iter()
                        .map(|(r, p)| {
                            (text(r), format!("region={r}&cluster={}&node_group={}", p.cluster, p.node_group))
                        })
                        .collect(),
                ),
                AwsComponent::Ecs(ecs) => service.runs.push(
                    ecs.regions
                        .iter()
                        .map(|(r, p)| (text(r), format!("region={r}&cluster={}&service={}", p.cluster, p.service)))
                        .collect(),
                ),
                AwsComponent::Autoscaling(group) => service
                    .runs
                    .push(group.regions.iter().map(|(r, g)| (text(r), format!("region={r}&group={g}"))).collect()),
                AwsComponent::Route53(name) => service.name = Some(name.name.clone()),
                AwsComponent::Accelerator(accelerator) => service.listener = Some(accelerator.listener.clone()),
                _ => {}
            }
        }
        service.stores.extend(others);
        service
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How long resolvers keep what the name answers now, in seconds.
    pub(super) async fn ttl(&self, ground: &Ground) -> Option<f64> {
        let answers = ground.server.ask(&format!("dns?name={}", self.name.as_ref()?)).await.ok()?;
        answers[0]["ttl"].as_f64()
    }

    /// The regions that users may be led to now.
    pub(super) async fn led_to(&self, ground: &Ground) -> Result<Vec<String>, String> {
        let regions = match (&self.name, &self.listener) {
            (Some(name), _) => {
                let answers = ground.server.ask(&format!("dns?name={name}")).await?;
                answers.as_array().into_iter().flatten().map(|a| a["set"].clone()).collect()
            }
            (None, Some(listener)) => {
                let led = ground.server.ask(&format!("led-to?listener={listener}")).await?;
                led.as_array().cloned().unwrap_or_default()
            }
            (None, None) => Vec::new(),
        };
        Ok(regions.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// How many tasks or instances of each part run in a region.
    pub(super) async fn running(&self, ground: &Ground, region: &str) -> Vec<u64> {
        let mut running = Vec::new();
        for part in &self.runs {
            let said = ground.server.ask(&format!("running?{}", part[region])).await.unwrap();
            running.push(said["running"].as_u64().unwrap_or_default());
        }
        running
    }

    /// A user's write, in a region.
    pub(super) async fn write(&self, ground: &Ground, region: &str) -> Result<u64, String> {
        if self.running(ground, region).await.contains(&0) {
            return Err(format!("a part does not run in {region}"));
        }
        self.put(ground, &self.stores[0], region).await
    }

    /// A user's write through an instance in a region: its own copy can be read, and whichever region takes writes takes it.
    async fn write_across(&self, ground: &Ground, region: &str) -> Result<u64, String> {
        let store = &self.stores[0];
        ground.server.ask(&format!("held?region={region}&name={}", store.names[region])).await?;
        let beside = self.write(ground, region).await;
        let mut others = store.names.keys().filter(|other| *other != region);
        match (beside, others.next()) {
            (Err(_), Some(other)) => self.put(ground, store, other).await,
            (beside, _) => beside,
        }
    }

    pub(super) async fn put(&self, ground: &Ground, store: &Store, region: &str) -> Result<u64, String> {
        let body = json!({"store": store.word, "region": region, "name": store.names[region]});
        let number = ground.server.tell("write", body).await?["number"].as_u64();
        number.ok_or_else(|| "no number".to_owned())
    }

    pub(super) async fn held(&self, ground: &Ground, store: &Store, region: &str) -> Vec<u64> {
        let word = store.word.map(|w| format!("store={w}&")).unwrap_or_default();
        let held = ground.server.ask(&format!("held?{word}region={region}&name={}", store.names[region])).await;
        held.unwrap_or_default()["numbers"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    }
}

/// Everything one user saw, at modelled moments.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Acknowledged writes: when, and which.
    pub(super) writes: Vec<(f64, u64)>,
    /// When a write failed.
    pub(super) failed: Vec<f64>,
    /// Where the name led.
    pub(super) led: Vec<(f64, String)>,
}

impl Seen {
    /// From the first failed write after a moment to the next good one.
    pub(super) fn outage(&self, since: f64) -> Option<(f64, f64)> {
        let first = self.failed.iter().copied().find(|at| *at >= since)?;
        let last = self.failed.iter().copied().filter(|at| *at >= first).fold(first, f64::max);
        self.writes.iter().map(|(at, _)| *at).find(|at| *at > last).map(|good| (first, good))
    }

    /// How far back the newest acknowledged write lies that the new writer holds, at the moment of the loss; and how many it
    /// does not hold.
    pub(super) fn loss(&self, lost_at: f64, held: &[u64]) -> (f64, usize) {
        let before = self.writes.iter().filter(|(at, _)| *at <= lost_at);
        let lost = before.clone().filter(|(_, n)| !held.contains(n)).count();
        let newest = before.filter(|(_, n)| held.contains(n)).map(|(at, _)| *at).fold(f64::NAN, f64::max);
        (if lost == 0 { 0.0 } else { lost_at - newest }, lost)
    }

    /// When so large a part of all users is led to the region, if each keeps an answer for `ttl` and they began at different
    /// moments.
    pub(super) fn led_over(&self, since: f64, to: &str, ttl: f64, part: f64) -> Option<f64> {
        const USERS: u32 = 120;
        let answer = |at: f64| self.led.iter().rev().find(|(when, _)| *when <= at).map(|(_, region)| region.as_str());
        let end = self.led.last()?.0;
        let user = |n: u32| {
            let mut asks = since - ttl * f64::from(n) / f64::from(USERS);
            while asks <= end {
                if asks >= since && answer(asks) == Some(to) {
                    return asks;
                }
                asks += ttl;
            }
            f64::INFINITY
        };
        let mut moments: Vec<f64> = (0..USERS).map(user).collect();
        moments.sort_by(f64::total_cmp);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a part of 120
        let at = moments[((f64::from(USERS) * part).ceil() as usize).clamp(1, moments.len()) - 1];
        at.is_finite().then_some(at)
    }
}

/// A user who writes all the time, until the handle is used.
pub(super) struct User {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Seen>,
}

impl User {
    pub(super) fn start(ground: &Arc<Ground>, service: &Service) -> Self {
        Self::start_near(ground, service, None)
    }

    /// One who is led to that region while it takes users, and whose instances there write across.
    pub(super) fn start_near(ground: &Arc<Ground>, service: &Service, near: Option<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ground, service, stopped) = (ground.clone(), service.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                let now = ground.now().await;
                let led = service.led_to(&ground).await.unwrap_or_default();
                let nearest = led.iter().find(|region| near.as_ref() == Some(*region));
                let region = nearest.or(led.first()).cloned().unwrap_or_default();
                let written = match (region.is_empty(), nearest) {
                    (true, _) => Err("led nowhere".to_owned()),
                    (false, None) => service.write(&ground, &region).await,
                    (false, Some(near)) => service.write_across(&ground, near).await,
                };
                seen.led.push((now, region));
                match written {
                    Ok(number) => seen.writes.push((now, number)),
                    Err(_) => seen.failed.push(now),
                }
                pace().await;
            }
            seen
        });
        Self { stop, task }
    }

    pub(super) async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

//! Asks the health checks of a plan by timer and keeps the opinions that come of it: the same for an agent, an observer and
//! the controller.
//!
//! Border: how a probe is asked is given ([`PortLook::ask`]); what answers make of an opinion is decided in core.
//!
//! Each question has a task of its own: one that hangs holds up no other.

use crate::clock::{Clock, within};
use crate::port::PortLook;
use pilotlight_core::effect::Probe;
use pilotlight_core::health::{Answer, Opinion, Question};
use pilotlight_core::plan::{HealthPlan, Plan};
use pilotlight_core::protocol::HealthSeen;
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_core::verdict::Witness;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A probe ends by its own timeout; one that does not is given up so much later.
const OVERDUE: Duration = Duration::from_millis(500);

/// See the module.
pub struct Checkup {
    clock: Arc<dyn Clock>,
    look: Arc<dyn PortLook>,
    asks: Vec<Asks>,
    opinions: Mutex<BTreeMap<Question, Opinion>>,
}

#[derive(Clone)]
struct Asks {
    question: Question,
    probe: Probe,
    check: HealthPlan,
}

impl Checkup {
    /// What `me` asks by that plan.
    pub fn new(plan: &Plan, me: &Witness, clock: Arc<dyn Clock>, look: Arc<dyn PortLook>) -> Arc<Self> {
        let of = |(name, check)| {
            let check: &HealthPlan = check;
            let mine = check.questions(name).into_iter().filter(|(question, _)| plan.askers(question).contains(me));
            mine.map(|(question, probe)| Asks { question, probe: probe.clone(), check: check.clone() })
                .collect::<Vec<_>>()
        };
        let asks = plan.health.iter().flat_map(of).collect();
        Arc::new(Self { clock, look, asks, opinions: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Question, Opinion>> {
        self.opinions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest opinions.
    pub fn opinions(&self) -> BTreeMap<Question, Opinion> {
        self.lock().clone()
    }

    /// The same for the next message, with ages instead of times.
    pub fn seen(&self, now: Mono) -> Vec<HealthSeen> {
        let seen = |(question, opinion): (&Question, &Opinion)| HealthSeen {
            question: question.clone(),
            health: opinion.health,
            for_ms: now.since(opinion.since),
            says: opinion.says.clone(),
            took_ms: opinion.took_ms,
            age_ms: now.since(opinion.at),
        };
        self.lock().iter().map(seen).collect()
    }

    /// Asks until shutdown; `news` fires when an opinion changes.
    pub async fn run(self: Arc<Self>, news: impl Fn() + Clone + Send + 'static, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        for asks in self.asks.clone() {
            let (checkup, news, stop) = (self.clone(), news.clone(), shutdown.clone());
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    let changed = tokio::select! {
                        biased;
                        changed = checkup.ask(&asks) => changed,
                        () = stop.cancelled() => return,
                    };
                    if changed {
                        news();
                    }
                    tokio::select! {
                        biased;
                        () = checkup.clock.sleep(asks.check.every) => {}
                        () = stop.cancelled() => {}
                    }
                }
            });
        }
        shutdown.cancelled().await;
        while tasks.join_next().await.is_some() {}
    }

    /// Asks once; returns whether the opinion is another than before.
    async fn ask(&self, asks: &Asks) -> bool {
        let began = self.clock.mono();
        let limit = asks.probe.timeout() + OVERDUE;
        let result = match within(&*self.clock, limit, self.look.ask(&asks.probe)).await {
            Some(result) => result.map_err(|failure| failure.message),
            None => Err(format!("no answer within {}", show_duration(limit))),
        };
        let now = self.clock.mono();
        let answer = Answer { result, took: now.since(began) };
        let mut opinions = self.lock();
        let before = opinions.get(&asks.question);
        let opinion = Opinion::learn(before, &asks.check, answer, now);
        let changed = before.map(|b| b.health) != Some(opinion.health);
        opinions.insert(asks.question.clone(), opinion);
        changed
    }
}

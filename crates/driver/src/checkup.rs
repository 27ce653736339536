//! Asks the health checks of a plan by timer and keeps the opinions that come of it: the same for an agent, an observer and
//! the controller.
//!
//! Border: how a probe is asked is given ([`PortLook::ask`]); what answers make of an opinion is decided in core.
//!
//! Each question has a task of its own: one that hangs holds up no other.

use crate::clock::{Clock, within};
use crate::port::PortLook;
use pilotlight_core::effect::Probe;
use pilotlight_core::health::{Alarm, Answer, Opinion, Question};
use pilotlight_core::plan::{ALARMS, HealthPlan, Plan};
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

/// An alarm that is not read by then says nothing this time.
const ALARM: Duration = Duration::from_secs(5);

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
    what: What,
    check: HealthPlan,
}

#[derive(Clone)]
enum What {
    Probe(Probe),
    /// By its ARN.
    Alarm(String),
}

impl Checkup {
    /// What `me` asks by that plan.
    pub fn new(plan: &Plan, me: &Witness, clock: Arc<dyn Clock>, look: Arc<dyn PortLook>) -> Arc<Self> {
        let of = |(name, check)| {
            let check: &HealthPlan = check;
            let mine = check.questions(name).into_iter().filter(|(question, _)| plan.askers(question).contains(me));
            let of = |(question, probe): (Question, &Probe)| {
                let alarm = check.alarm(&question).filter(|_| *me == alarms()).map(str::to_owned);
                let what = alarm.map_or_else(|| What::Probe(probe.clone()), What::Alarm);
                Asks { question, what, check: check.clone() }
            };
            mine.map(of).collect::<Vec<_>>()
        };
        let asks = plan.health.iter().flat_map(of).collect();
        Arc::new(Self { clock, look, asks, opinions: Mutex::default() })
    }

    /// Somebody is asked.
    pub fn asks(&self) -> bool {
        !self.asks.is_empty()
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
        let told = self.hear(&asks.what).await;
        let now = self.clock.mono();
        let took = now.since(began);
        let mut opinions = self.lock();
        let before = opinions.get(&asks.question);
        let opinion = match told {
            Ok(result) => Opinion::learn(before, &asks.check, Answer { result, took }, now),
            Err(why) => Opinion::untold(before, why, took, now),
        };
        let changed = before.map(|b| b.health) != Some(opinion.health);
        opinions.insert(asks.question.clone(), opinion);
        changed
    }

    /// What was answered; the error says why nothing was told.
    async fn hear(&self, what: &What) -> Result<Result<String, String>, String> {
        match what {
            What::Probe(probe) => {
                let limit = probe.timeout() + OVERDUE;
                Ok(match within(&*self.clock, limit, self.look.ask(probe)).await {
                    Some(result) => result.map_err(|failure| failure.message),
                    None => Err(format!("no answer within {}", show_duration(limit))),
                })
            }
            What::Alarm(arn) => match within(&*self.clock, ALARM, self.look.alarm(arn)).await {
                Some(Ok(Alarm::Quiet(says))) => Ok(Ok(says)),
                Some(Ok(Alarm::Raised(why))) => Ok(Err(why)),
                Some(Ok(Alarm::Untold(why))) => Err(why),
                Some(Err(failure)) => Err(failure.message),
                None => Err(format!("no answer within {}", show_duration(ALARM))),
            },
        }
    }
}

/// The voice of alarms.
pub fn alarms() -> Witness {
    Witness::Observer(ALARMS.into())
}

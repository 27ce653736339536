//! A life of the controller and what is done with it: what somebody asks for, then following what is under way.

use super::ask;
use crate::alarm::{Alarms, Assessed, Over, Record, assess};
use crate::answer::{Answer, State};
use crate::event::Ask;
use crate::fit;
use crate::life::Life;
use crate::problem::Problem;
use pilotlight::hosted::Hosted;
use pilotlight_core::code;
use pilotlight_core::id::RunId;
use pilotlight_core::plan::Plan;
use pilotlight_core::run::{Condition, RunResult};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::RunSummary;
use pilotlight_server::Order;
use pilotlight_server::api::view::{RunsView, StatusView};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two looks at what the controller knows.
const ROUND: Duration = Duration::from_millis(300);

/// Between two looks at the alarms in the store: another invocation may have put one there.
const ALARMS: Duration = Duration::from_secs(3);

/// People are told of a run that has ended so long after it at the most.
const LINGER: Duration = Duration::from_secs(2);

/// A leader that is gone is followed within its lead and a bit; one that is there goes on with everything itself.
const STAND_BY: Duration = Duration::from_secs(5);

/// One invocation's turn.
pub(crate) struct Turn<'a> {
    pub(crate) hosted: &'a Hosted,
    /// The controller ends then, whatever is under way.
    pub(super) stops: Mono,
    /// Lambda's name for the invocation.
    pub(crate) id: &'a str,
}

/// What was met in a life.
#[derive(Default)]
struct Met {
    runs: BTreeSet<RunId>,
    /// Why the controller holds still, by alarm.
    held: BTreeMap<String, String>,
    /// Since when nothing is open.
    ended_at: Option<Mono>,
}

impl Met {
    /// People may still be being told of the end of a run.
    fn lingers(&mut self, open: bool, now: Mono) -> bool {
        if open || self.runs.is_empty() {
            self.ended_at = None;
            return false;
        }
        now.since(*self.ended_at.get_or_insert(now)) < LINGER
    }
}

impl<'a> Turn<'a> {
    pub(crate) fn new(hosted: &'a Hosted, stops: Mono, id: &'a str) -> Self {
        Self { hosted, stops, id }
    }

    pub(crate) fn plan(&self) -> &Plan {
        self.hosted.plan()
    }

    fn time_is_up(&self) -> bool {
        SystemClock.mono() >= self.stops
    }

    /// Until when the lead is waited for.
    pub(super) fn patience(&self) -> Mono {
        self.stops.min(SystemClock.mono() + self.plan().leader_lease() * 2 + STAND_BY)
    }

    /// Begins a controller, does what is asked for, looks about for so long at least, follows what is under way, ends it.
    pub(crate) async fn live(&self, ask: Option<&Ask>, look: Duration) -> Result<Answer, Problem> {
        let life = Life::begin(self.hosted, &format!("function {}", self.id))?;
        let done = self.lead(&life, ask, look).await;
        let ended = life.end().await;
        let answer = done?;
        ended.map(|()| answer)
    }

    async fn lead(&self, life: &Life, ask: Option<&Ask>, mut look: Duration) -> Result<Answer, Problem> {
        if let Err(leader) = life.leads(self.patience()).await? {
            let what = format!("{leader} leads");
            return match ask {
                None => Ok(Answer::of(State::Elsewhere, format!("{what}, and goes on with everything"))),
                Some(_) => Err(Problem::new(
                    code::ANOTHER_INVOCATION,
                    format!("{what}, and nothing was asked of it"),
                    "ask again when it has ended; `{\"action\": \"status\"}` shows what is under way",
                )),
            };
        }
        let mut answer = Answer::default();
        if let Some(ask) = ask {
            look = ask::perform(self, life, ask, &mut answer).await?;
        }
        self.follow(life, look, &mut answer).await?;
        Ok(answer)
    }

    /// Until nothing is open, or the time is up. `at_least`: looks for so long, whatever is open.
    async fn follow(&self, life: &Life, at_least: Duration, answer: &mut Answer) -> Result<(), Problem> {
        let began = SystemClock.mono();
        let store = Alarms(self.hosted.store().clone());
        let mut met = Met::default();
        let (mut alarms, mut read_at) = (store.open(self.plan(), SystemClock.wall()).await?, began);
        self.give_orders(life, &alarms);
        let status = loop {
            let now = SystemClock.mono();
            if now.since(read_at) >= ALARMS {
                let newest = store.open(self.plan(), SystemClock.wall()).await?;
                self.take_orders_back(life, alarms.iter().filter(|a| !newest.contains(a)));
                self.give_orders(life, &newest);
                (alarms, read_at) = (newest, now);
            }
            let status = match life.sees(self.patience()).await? {
                Ok(status) => status,
                Err(leader) => {
                    answer.state = State::Elsewhere;
                    answer.say(format!("{leader} leads now, and goes on with everything"));
                    return Ok(());
                }
            };
            met.runs.extend(status.open_runs.iter().map(|r| r.run.clone()));
            let looked = now.since(began);
            let mut open = looked < at_least || self.is_new(&status, looked);
            open |= status.open_runs.iter().any(moves);
            open |= self.assess_all(&store, &alarms, &status, looked, &mut met).await?;
            open |= met.lingers(open, now);
            if !open || self.time_is_up() {
                answer.state = if open { State::GoesOn } else { answer.state };
                break status;
            }
            SystemClock.sleep(ROUND).await;
        };
        answer.sees(&status);
        self.conclude(life, met, answer).await
    }

    /// A unit that was never seen is entered as soon as all of it is seen, and a name that leads nowhere is published then.
    fn is_new(&self, status: &StatusView, looked: Duration) -> bool {
        let unseen = status.units.iter().any(|u| u.epoch.is_none());
        let leads_nowhere = status.shared.iter().any(|c| c.state.shares.is_none());
        (unseen || leads_nowhere) && looked < fit::longest_look(self.plan())
    }

    /// Whether any of them is still being looked into.
    async fn assess_all(
        &self,
        store: &Alarms,
        alarms: &[(String, Record)],
        status: &StatusView,
        looked: Duration,
        met: &mut Met,
    ) -> Result<bool, Problem> {
        let mut open = false;
        for (name, record) in alarms {
            let Some(alarm) = self.plan().alarms.get(name) else { continue };
            let Some(unit) = status.units.iter().find(|u| u.unit == alarm.unit) else { continue };
            match assess(alarm, unit, looked, fit::look(self.plan(), &alarm.unit)) {
                Assessed::Looking => open = true,
                Assessed::Moving(run) => {
                    // A run that began a moment ago holds its unit before it is listed.
                    let listed = status.open_runs.iter().any(|r| r.run == run);
                    open |= !listed && looked < fit::longest_look(self.plan());
                    met.held.insert(name.clone(), format!("run {run} moves {}", unit.unit));
                }
                Assessed::Elsewhere(over) => {
                    let run = met.runs.iter().next_back().cloned();
                    store.close(name, record, &Over { run, ..over.clone() }).await?;
                    met.held.insert(name.clone(), format!("over: {}", over.why));
                }
                Assessed::Held { why, code } => {
                    let code = code.map(|c| format!(" ({c})")).unwrap_or_default();
                    met.held.insert(name.clone(), format!("holds still: {why}{code}"));
                }
            }
        }
        Ok(open)
    }

    fn orders(&self, alarms: &[(String, Record)]) -> Vec<Order> {
        let order = |(name, record): &(String, Record)| {
            let alarm = self.plan().alarms.get(name)?;
            Some(Order {
                unit: alarm.unit.clone(),
                from: alarm.region.clone(),
                least_fence: alarm.least_fence?,
                why: format!("standing order of alarm {name}, on since {}: {}", record.changed, record.why),
            })
        };
        alarms.iter().filter_map(order).collect()
    }

    fn give_orders(&self, life: &Life, alarms: &[(String, Record)]) {
        self.orders(alarms).into_iter().for_each(|order| life.orders.give(order));
    }

    fn take_orders_back<'b>(&self, life: &Life, alarms: impl Iterator<Item = &'b (String, Record)>) {
        let gone: Vec<(String, Record)> = alarms.cloned().collect();
        self.orders(&gone).iter().for_each(|order| life.orders.take_back(order));
    }

    /// What is said at the end.
    async fn conclude(&self, life: &Life, met: Met, answer: &mut Answer) -> Result<(), Problem> {
        answer.alarms = met.held;
        let held = answer.tell_drills();
        let runs: RunsView = life.door.get("/v1/runs").await?;
        answer.runs = runs.runs.into_iter().filter(|r| met.runs.contains(&r.run)).collect();
        for run in &answer.runs {
            answer.says.push(format!("{}: {}, {}", run.run, run.told, stands(&run.condition)));
        }
        if answer.state == State::GoesOn {
            answer.say("the time of this invocation is up, the next goes on");
            return Ok(());
        }
        let any = |is: fn(&Condition) -> bool| answer.runs.iter().any(|r| is(&r.condition));
        answer.state = if any(|c| matches!(c, Condition::Waiting { .. })) {
            State::Waits
        } else if any(|c| matches!(c, Condition::Ended { result } if !went_well(*result))) {
            State::Failed
        } else if !answer.runs.is_empty() {
            State::Done
        } else if held || answer.alarms.values().any(|says| says.starts_with("holds")) {
            State::Holds
        } else {
            answer.state
        };
        Ok(())
    }
}

fn went_well(result: RunResult) -> bool {
    result.is_done() || result == RunResult::Withdrawn
}

/// It goes on without a person.
fn moves(run: &RunSummary) -> bool {
    !matches!(run.condition, Condition::Waiting { .. } | Condition::Ended { .. })
}

fn stands(condition: &Condition) -> String {
    match condition {
        Condition::Running => "under way".to_owned(),
        Condition::Pausing { why, .. } | Condition::Waiting { why } => {
            format!("waits for a person: {}", why.join("; "))
        }
        Condition::Unwinding { why } => format!("is taken back: {why}"),
        Condition::Stalled { why } => format!("stands still: {why}"),
        Condition::Ended { result } => match result {
            RunResult::Done => "done".to_owned(),
            RunResult::DoneWithWarnings => "done with warnings".to_owned(),
            RunResult::Failed => "failed".to_owned(),
            RunResult::Undone => "failed, and was taken back".to_owned(),
            RunResult::Aborted => "ended by a person".to_owned(),
            RunResult::Withdrawn => "withdrawn: the writer works again".to_owned(),
        },
    }
}

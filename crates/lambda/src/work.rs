//! One invocation: what it is for, whether it needs a controller at all, and its answer.

mod ask;
mod drill;
mod turn;

use crate::alarm::{Alarms, Taken, unusable};
use crate::answer::{Answer, State, goes_on};
use crate::event::{self, Ask, Event, News};
use crate::problem::Problem;
use crate::{fit, life};
use lambda_runtime::Context;
use pilotlight::hosted::{self, Hosted};
use pilotlight_core::code;
use pilotlight_core::leader::Term;
use pilotlight_core::time::{Mono, Wall, show_duration};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::store::Units;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use turn::Turn;

/// The controller begins to end so long before Lambda would end the process: its own end, and the answer.
const RESERVE: Duration = Duration::from_secs(2).saturating_add(life::ENDS_WITHIN);

/// With less than this, nothing would come of a life of the controller.
const LEAST: Duration = Duration::from_secs(4).saturating_add(RESERVE);

/// The plan's file, when `PILOTLIGHT_PLAN` does not name another.
const PLAN: &str = "pilotlight.yaml";

/// What lasts from one invocation to the next in the same process.
pub(crate) struct Function {
    plan: PathBuf,
    state: PathBuf,
    hosted: tokio::sync::Mutex<Option<Arc<Hosted>>>,
}

impl Function {
    /// The plan lies beside the program, unless the environment says otherwise; what need not last is in the folder for that.
    pub(crate) fn of_environment() -> Self {
        let root = std::env::var_os("LAMBDA_TASK_ROOT").map(PathBuf::from).unwrap_or_default();
        let plan = std::env::var_os("PILOTLIGHT_PLAN").map_or_else(|| PathBuf::from(PLAN), PathBuf::from);
        let state = std::env::temp_dir().join("pilotlight");
        Self { plan: root.join(plan), state, hosted: tokio::sync::Mutex::default() }
    }

    /// One invocation. What it says is logged: a schedule does not read it.
    pub(crate) async fn invoked(&self, payload: Value, context: &Context) -> Result<Answer, Problem> {
        let left = Wall(context.deadline).since(SystemClock.wall());
        let ends = SystemClock.mono() + left;
        let done = self.work(&payload, ends, &context.request_id).await;
        // An error is logged by the runtime.
        if let Ok(answer) = &done {
            tracing::info!(state = ?answer.state, alarms = ?answer.alarms, "{}", answer.says.join("; "));
        }
        done
    }

    async fn work(&self, payload: &Value, ends: Mono, id: &str) -> Result<Answer, Problem> {
        let event = event::read(payload)?;
        let hosted = self.hosted().await?;
        let turn = Turn::new(&hosted, Mono(ends.0.saturating_sub(RESERVE)), id);
        match event {
            Event::Alarms(news) => alarms(&turn, &news, ends).await,
            Event::GoOn | Event::Ask(Ask::Continue(_)) => go_on(&turn, ends).await,
            Event::Ask(ask) => {
                enough(ends, LEAST)?;
                turn.live(Some(&ask), Duration::ZERO).await
            }
        }
    }

    /// The plan, its store and its drivers; made once, and again where that failed.
    async fn hosted(&self) -> Result<Arc<Hosted>, Problem> {
        let mut hosted = self.hosted.lock().await;
        if let Some(hosted) = &*hosted {
            return Ok(hosted.clone());
        }
        let plan = hosted::read_plan(&self.plan)?;
        fit::fits(&plan)?;
        let opened = Arc::new(Hosted::open(plan, &self.state).await?);
        *hosted = Some(opened.clone());
        Ok(opened)
    }
}

/// Refuses to begin what cannot come to anything.
fn enough(ends: Mono, needed: Duration) -> Result<(), Problem> {
    let left = ends.since(SystemClock.mono());
    if left >= needed {
        return Ok(());
    }
    let what = format!("{} are left in this invocation, and {} are needed", show_duration(left), show_duration(needed));
    Err(Problem::new(
        code::TOO_LITTLE_TIME,
        what,
        "make the function's timeout longer; 15 minutes are the most that Lambda gives, and cost nothing while nothing happens",
    ))
}

/// Keeps what the messages say, then looks into what is on.
async fn alarms(turn: &Turn<'_>, news: &[News], ends: Mono) -> Result<Answer, Problem> {
    let plan = turn.plan();
    // First all of them: what is not known is an error whatever the others say.
    let known = news.iter().map(|n| plan.alarm(&n.arn).ok_or_else(|| no_such_alarm(turn, n)));
    let known = known.collect::<Result<Vec<_>, _>>()?;
    let store = Alarms(turn.hosted.store().clone());
    let mut answer = Answer::default();
    let mut on = false;
    for (news, (name, alarm)) in news.iter().zip(known) {
        let taken = store.take_in(name, alarm, news, SystemClock.wall()).await?;
        on |= news.state == event::AlarmState::On && !matches!(taken, Taken::Refused(_));
        let said = match taken {
            Taken::Refused(why) => format!("starts nothing, and nothing is kept of it: {why}"),
            Taken::On => format!("is on for {} in {}: {}", alarm.unit, alarm.region, news.why),
            Taken::Quiet(why) => format!("starts nothing: {why}"),
            Taken::Overtaken => "starts nothing: a newer message came before it".to_owned(),
            Taken::Again(record) => match &record.over {
                _ if !record.on => "came twice and is over".to_owned(),
                Some(over) => format!("came twice and starts nothing again: {}", over.why),
                None => "came twice and is looked into".to_owned(),
            },
        };
        answer.say(format!("alarm {name} {said}"));
    }
    if !on || store.open(plan, SystemClock.wall()).await?.is_empty() {
        return Ok(answer);
    }
    enough(ends, RESERVE + fit::longest_look(plan))?;
    let lived = turn.live(None, Duration::ZERO).await?;
    answer.says.extend(lived.says);
    Ok(Answer { says: answer.says, ..lived })
}

fn no_such_alarm(turn: &Turn<'_>, news: &News) -> Problem {
    let known: Vec<&str> = turn.plan().alarms.values().map(|a| a.alarm.as_str()).collect();
    let known = if known.is_empty() { "the plan has none".to_owned() } else { format!("known: {}", known.join(", ")) };
    Problem::new(
        code::ALARM_UNKNOWN,
        format!("the plan does not say what the alarm `{}` stands for; {known}", news.arn),
        "write it under `alarms` in the plan of this function, with its region; or take this function off the alarm's topic",
    )
}

/// Lives only if something is open: a run, an alarm, a unit that was never seen, or a drill whose time is over.
async fn go_on(turn: &Turn<'_>, ends: Mono) -> Result<Answer, Problem> {
    let store = turn.hosted.store();
    let known = Units::new(store.clone(), Term::default()).all().await.map_err(|e| unusable(&e))?;
    let new = turn.plan().units().into_iter().any(|unit| known.iter().all(|record| &record.unit != unit));
    let running = known.iter().any(|record| record.run.is_some());
    let now = SystemClock.wall();
    let alarms = Alarms(store.clone()).open(turn.plan(), now).await?;
    let drills = drill::out(turn, &known).await?;
    if drills.iter().any(|drill| drill.until <= now) {
        let look = fit::longest_look(turn.plan());
        enough(ends, RESERVE + look)?;
        return turn.live(None, look).await;
    }
    if new || running || !alarms.is_empty() {
        enough(ends, LEAST)?;
        return turn.live(None, Duration::ZERO).await;
    }
    if drills.is_empty() {
        return Ok(Answer::of(State::Nothing, "nothing is open"));
    }
    let says = drills.iter().map(goes_on).collect();
    Ok(Answer { state: State::GoesOn, says, ..Answer::default() })
}

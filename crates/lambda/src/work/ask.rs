//! What somebody asks for: the requests of the command line, through the controller's own API.
//!
//! Invariant: Lambda may deliver one request twice. A move carries the request's name in its journal, and is not asked for
//! again when a run is there that has it.

use super::drill;
use super::turn::Turn;
use crate::answer::{Answer, State};
use crate::event::{Ask, Move, Steer};
use crate::fit;
use crate::life::Life;
use crate::problem::Problem;
use pilotlight_core::id::Unit;
use pilotlight_core::placement::Verb;
use pilotlight_core::verdict::Verdict;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::{
    AcknowledgeRequest, Action, ControlRequest, HoldReply, HoldRequest, MoveReply, MoveRequest, RunsView,
};
use serde_json::Value;
use std::time::Duration;

/// Between two looks whether enough is known.
const ROUND: Duration = Duration::from_millis(200);

/// Does it. Says for how long the controller is to look about after it.
pub(super) async fn perform(turn: &Turn<'_>, life: &Life, ask: &Ask, answer: &mut Answer) -> Result<Duration, Problem> {
    if let Some((verb, movement)) = ask.movement() {
        start(turn, life, (verb, movement), answer).await?;
        return Ok(Duration::ZERO);
    }
    match ask {
        Ask::Drill(wanted) => drill::start(turn, life, wanted, answer).await?,
        Ask::Watch(_) => {
            answer.say("a controller looked and decided for a while");
            answer.state = State::Done;
            return Ok(fit::longest_look(turn.plan()));
        }
        Ask::Status(_) => {
            until_known(turn, life).await?;
            answer.reply = Some(life.door.get("/v1/status").await?);
            answer.state = State::Done;
        }
        Ask::Pause(steer) => control(turn, life, Action::Pause, steer, answer).await?,
        Ask::Resume(steer) => control(turn, life, Action::Resume, steer, answer).await?,
        Ask::Abort(steer) => control(turn, life, Action::Abort, steer, answer).await?,
        Ask::Approve(steer) => control(turn, life, Action::Approve, steer, answer).await?,
        Ask::Skip(steer) => control(turn, life, Action::Skip, steer, answer).await?,
        Ask::Acknowledge(word) => {
            let request = AcknowledgeRequest { by: word.by.clone(), raise_epoch: false };
            let _: Value = life.door.post(&format!("/v1/units/{}/acknowledge", word.unit), &request).await?;
            answer.say(format!("the last failover of {} was acknowledged by {}", word.unit, word.by));
            answer.state = State::Done;
        }
        Ask::Hold(word) => {
            let request = HoldRequest { by: word.by.clone(), why: word.why.clone(), on: word.on };
            let reply: HoldReply = life.door.post("/v1/hold", &request).await?;
            answer.say(reply.hold.map_or("nothing holds what is automatic".to_owned(), |hold| hold.to_string()));
            answer.state = State::Done;
        }
        Ask::Continue(_) | Ask::Failover(_) | Ask::Switchover(_) | Ask::Failback(_) | Ask::Rejoin(_) => {}
    }
    Ok(Duration::ZERO)
}

/// Waits until the controller has an opinion of every unit: before that, what is asked for would be refused for want of one.
pub(super) async fn until_known(turn: &Turn<'_>, life: &Life) -> Result<(), Problem> {
    let end = SystemClock.mono() + fit::longest_look(turn.plan());
    loop {
        let Ok(status) = life.sees(turn.patience()).await? else { return Ok(()) };
        let knows = |u: &pilotlight_server::api::view::UnitStatus| {
            u.run.is_some() || u.judgement.as_ref().is_some_and(|j| j.verdict != Verdict::NoDataYet)
        };
        if status.units.iter().all(knows) || SystemClock.mono() >= end {
            return Ok(());
        }
        SystemClock.sleep(ROUND).await;
    }
}

async fn start(
    turn: &Turn<'_>,
    life: &Life,
    (verb, movement): (Verb, &Move),
    answer: &mut Answer,
) -> Result<(), Problem> {
    let mark = format!("request {}", turn.id);
    if begun(life, &mark, answer).await? {
        return Ok(());
    }
    until_known(turn, life).await?;
    let request = MoveRequest {
        unit: movement.unit.clone().or_else(|| only_unit(turn)),
        target: movement.to.clone(),
        dry_run: movement.dry_run,
        waive_rescue: movement.waive_rescue.clone(),
        writer_is_off: movement.writer_is_off.clone(),
        why: marked(&movement.why, mark),
        ..MoveRequest::new(verb, by(turn, movement.by.as_ref()))
    };
    send(life, &request, answer).await
}

/// Whether a run carries that mark; it is followed then.
pub(super) async fn begun(life: &Life, mark: &str, answer: &mut Answer) -> Result<bool, Problem> {
    let runs: RunsView = life.door.get("/v1/runs").await?;
    let Some(run) = runs.runs.iter().find(|r| r.why.ends_with(mark)) else { return Ok(false) };
    answer.say(format!("asked for before by the same {mark}: {}", run.run));
    answer.runs.push(run.clone());
    Ok(true)
}

/// What somebody gives as the reason, with the mark by which its run is known again.
pub(super) fn marked(why: &str, mark: String) -> String {
    if why.is_empty() { mark } else { format!("{why}; {mark}") }
}

/// Starts a move, or shows what it would do.
pub(super) async fn send(life: &Life, request: &MoveRequest, answer: &mut Answer) -> Result<(), Problem> {
    match life.door.post("/v1/moves", request).await? {
        MoveReply::Started { run } => answer.say(format!("{run} was started")),
        dry @ MoveReply::DryRun { .. } => {
            answer.reply = serde_json::to_value(&dry).ok();
            answer.say("a dry run: nothing was touched");
            answer.state = State::Done;
        }
    }
    Ok(())
}

async fn control(
    turn: &Turn<'_>,
    life: &Life,
    action: Action,
    steer: &Steer,
    answer: &mut Answer,
) -> Result<(), Problem> {
    let (step, why) = (steer.step.clone(), steer.why.clone());
    let request = ControlRequest { action, step, by: by(turn, steer.by.as_ref()), why };
    let _: Value = life.door.post(&format!("/v1/runs/{}/control", steer.run), &request).await?;
    answer.say(format!("{} was told", steer.run));
    answer.state = State::Done;
    Ok(())
}

pub(super) fn only_unit(turn: &Turn<'_>) -> Option<Unit> {
    let units = turn.plan().units();
    if units.len() == 1 { units.into_iter().next().cloned() } else { None }
}

pub(super) fn by(turn: &Turn<'_>, named: Option<&String>) -> String {
    named.cloned().unwrap_or_else(|| format!("whoever invoked request {}", turn.id))
}

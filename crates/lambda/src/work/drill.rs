//! Drills: asked for by a schedule or by somebody, and those that are out.
//!
//! Border: a drill is a planned move, and whichever controller leads takes it back; both are the controller's. Here is what
//! must hold before one begins, and whether one waits for its end.
//!
//! Invariant: nobody watches a drill that a schedule begins. So it begins only in its own time, at home, while the unit is well,
//! nobody holds what is automatic and no alarm is on, and where a dry run meets nothing that would make it fail.

use super::ask;
use super::turn::Turn;
use crate::alarm::{Alarms, text, unusable};
use crate::answer::{Answer, State, goes_on};
use crate::event::Drill as Wanted;
use crate::fit;
use crate::life::Life;
use crate::problem::Problem;
use pilotlight_core::code;
use pilotlight_core::drill::Drill;
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::placement::Verb;
use pilotlight_core::time::{Wall, show_duration};
use pilotlight_core::verdict::Verdict;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::store::UnitRecord;
use pilotlight_server::api::view::{MoveReply, MoveRequest, UnitStatus};
use pilotlight_server::drills;
use std::time::Duration;

/// A drill begins so long after its time at most: later, the quiet hour that it was set for may be over.
const LATE: Duration = Duration::from_secs(15 * 60);

/// Between two looks whether all is well.
const ROUND: Duration = Duration::from_millis(200);

/// The drills that have led away from home. Looked for only where a writer is away: the journal is long, and this happens each minute.
pub(super) async fn out(turn: &Turn<'_>, units: &[UnitRecord]) -> Result<Vec<Drill>, Problem> {
    let home = &turn.plan().home;
    let is_away = |u: &&UnitRecord| u.run.is_none() && u.writer.as_ref().is_some_and(|w| w != home);
    let away: Vec<&UnitRecord> = units.iter().filter(is_away).collect();
    if away.is_empty() {
        return Ok(Vec::new());
    }
    let runs = turn.hosted.runs().await.map_err(|e| unusable(&e))?;
    Ok(away.into_iter().filter_map(|u| drills::newest(&runs, &u.unit)).collect())
}

/// Begins one, unless the same schedule or request has.
pub(super) async fn start(turn: &Turn<'_>, life: &Life, wanted: &Wanted, answer: &mut Answer) -> Result<(), Problem> {
    let of_request = || format!("request {}", turn.id);
    let mark = wanted.at.as_ref().map_or_else(of_request, |at| format!("schedule of {at}"));
    if ask::begun(life, &mark, answer).await? {
        return Ok(());
    }
    in_time(wanted.at.as_deref(), SystemClock.wall())?;
    let request = MoveRequest {
        unit: wanted.unit.clone().or_else(|| ask::only_unit(turn)),
        target: wanted.to.clone(),
        dry_run: true,
        drill_ms: Some(wanted.lasts),
        why: ask::marked(&wanted.why, mark),
        ..MoveRequest::new(Verb::Switchover, ask::by(turn, wanted.by.as_ref()))
    };
    if let Some(unit) = &request.unit {
        until_fit(turn, life, unit).await?;
        let alarms = Alarms(turn.hosted.store().clone()).open(turn.plan(), SystemClock.wall()).await?;
        let of_unit = |name: &String| turn.plan().alarms.get(name).is_some_and(|a| &a.unit == unit);
        if let Some((name, _)) = alarms.iter().find(|(name, _)| of_unit(name)) {
            return Err(not_now(&format!("alarm {name} is on"), &[]));
        }
    }
    let dry: MoveReply = life.door.post("/v1/moves", &request).await?;
    if wanted.dry_run {
        answer.reply = serde_json::to_value(&dry).ok();
        answer.say("a dry run: nothing was touched");
        answer.state = State::Done;
        return Ok(());
    }
    let blockers = blockers(&dry);
    if !blockers.is_empty() {
        return Err(not_now("a dry run meets what would make it fail", &blockers));
    }
    ask::send(life, &MoveRequest { dry_run: false, ..request }, answer).await
}

fn in_time(at: Option<&str>, now: Wall) -> Result<(), Problem> {
    let ms = u64::try_from(LATE.as_millis()).expect("some minutes are few milliseconds");
    let (first, last) = (text(Wall(now.0.saturating_sub(ms))), text(Wall(now.0 + ms)));
    let Some(at) = at.filter(|at| *at < first.as_str() || *at > last.as_str()) else { return Ok(()) };
    Err(Problem::new(
        code::DRILL_LATE,
        format!("the drill was set for {at}, which is not within {} of now", show_duration(LATE)),
        "nothing was started; the next is at its time, and one without `at` begins at once",
    ))
}

/// Waits until the controller has looked for long enough to say that the unit is well, or that it is not; while there is time.
async fn until_fit(turn: &Turn<'_>, life: &Life, unit: &Unit) -> Result<(), Problem> {
    let end = turn.stops.min(SystemClock.mono() + fit::look(turn.plan(), unit));
    loop {
        let status = life.sees(turn.patience()).await?.map_err(|leader| {
            let what = format!("{leader} leads now, and no drill was begun");
            Problem::new(code::ANOTHER_INVOCATION, what, "ask again when it has ended")
        })?;
        if let Some(hold) = &status.hold {
            return Err(not_now(&format!("nothing starts by itself: {hold}"), &[]));
        }
        let Some(status) = status.units.iter().find(|u| &u.unit == unit) else { return Ok(()) };
        match is_fit(status, &turn.plan().home) {
            Err(problem) if problem.code != code::DRILL_NOT_NOW.as_str() || SystemClock.mono() >= end => {
                return Err(problem);
            }
            Err(_) => SystemClock.sleep(ROUND).await,
            Ok(()) => return Ok(()),
        }
    }
}

fn is_fit(unit: &UnitStatus, home: &Region) -> Result<(), Problem> {
    if let Some(writer) = unit.writer.as_ref().filter(|w| *w != home) {
        let out = unit.drill.as_ref().map(|d| format!("; {}", goes_on(&d.drill))).unwrap_or_default();
        return Err(Problem::new(
            code::DRILL_AWAY,
            format!("a drill begins at home, in {home}, and the writer of {} is in {writer}{out}", unit.unit),
            "nothing was started; `{\"action\": \"failback\"}` brings it home, and ends a drill that is out",
        ));
    }
    match unit.judgement.as_ref().map(|j| j.verdict) {
        Some(Verdict::Healthy) => Ok(()),
        verdict => {
            let word = verdict.map_or("not judged".to_owned(), |v| v.to_string());
            Err(not_now(&format!("{} is not well: {word}", unit.unit), &[]))
        }
    }
}

/// What of a dry run would make the move fail.
fn blockers(dry: &MoveReply) -> Vec<&Finding> {
    let MoveReply::DryRun { steps, findings, .. } = dry else { return Vec::new() };
    let all = findings.iter().chain(steps.iter().flat_map(|s| &s.findings));
    let mut blockers: Vec<&Finding> = all.filter(|f| f.severity == Severity::Blocker).collect();
    blockers.dedup();
    blockers
}

fn not_now(why: &str, findings: &[&Finding]) -> Problem {
    let told = findings.iter().map(|f| format!("\n  - {}: {} ({})", f.code, f.message, f.hint)).collect::<String>();
    Problem::new(
        code::DRILL_NOT_NOW,
        format!("no drill is begun: {why}{told}"),
        "nothing was started; mend it and ask again, or wait for the next of the schedule",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26T18:30:00Z.
    const NOW: Wall = Wall(1_795_717_800_000);

    #[test]
    fn a_drill_begins_in_its_own_time() {
        for at in [None, Some("2026-11-26T18:15:00.000"), Some("2026-11-26T18:30:59.000")] {
            assert_eq!(in_time(at, NOW), Ok(()), "{at:?}");
        }
        for at in ["2026-11-26T18:14:59.000", "2026-11-26T18:45:01.000", "2026-11-25T18:30:00.000"] {
            assert_eq!(in_time(Some(at), NOW).unwrap_err().code, code::DRILL_LATE.to_string(), "{at}");
        }
    }

    #[test]
    fn a_drill_begins_at_home_and_when_all_is_well() {
        let home = Region::from("east");
        let unit = |writer: &str| -> UnitStatus {
            let json = serde_json::json!({
                "unit": "pay", "epoch": 1, "writer": writer, "run": null, "judgement": null, "lease": {"lease": "lapsed"},
                "decision": {"decision": "hold", "why": ""},
            });
            serde_json::from_value(json).unwrap()
        };
        let away = is_fit(&unit("west"), &home).unwrap_err();
        assert!(away.code == code::DRILL_AWAY.to_string() && away.message.contains("is in west"), "{away:?}");
        let unjudged = is_fit(&unit("east"), &home).unwrap_err();
        assert!(unjudged.code == code::DRILL_NOT_NOW.to_string() && unjudged.message.contains("not judged"));
    }
}

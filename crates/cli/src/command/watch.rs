//! Follows a run to its end, with a line per event and a bar of its steps.

use crate::command::interrupt;
use crate::error::{CliError, Exit};
use crate::follow::{Follower, Stopped};
use crate::narrator::{Narrator, Voice};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::id::RunId;
use pilotlight_core::run::{Condition, RunResult, RunView};
use std::process::ExitCode;

/// Follows; Ctrl-C ends the following and not the run.
pub(crate) async fn to_the_end(operator: &Operator, run: &RunId, json: bool) -> Result<ExitCode, CliError> {
    let mut narrator = Narrator::new(if json { Voice::Stderr } else { Voice::Stdout });
    let mut follower = Follower::new(run.clone());
    let ended = tokio::select! {
        ended = follow(operator, &mut follower, &mut narrator) => ended,
        () = interrupt() => {
            narrator.done_waiting();
            eprintln!("no longer followed; the run goes on. `pilotlight run watch {run}` follows it again");
            return Ok(Exit::Interrupted.into());
        }
    };
    narrator.done_waiting();
    let ended = match ended {
        Ok(ended) => ended,
        Err(Stopped::Refused(e)) => return Err(e),
        Err(Stopped::TooLong { .. }) => return Err(CliError::say(Exit::Bug, "a deadline that nobody set has passed")),
    };
    if json {
        let view: RunView = operator.get(&format!("/v1/runs/{run}")).await?;
        let text = serde_json::to_string_pretty(&view).map_err(|e| CliError::new(Exit::Bug, e))?;
        println!("{text}");
    }
    Ok(match ended {
        End::Ended(RunResult::Done | RunResult::DoneWithWarnings) => ExitCode::SUCCESS,
        End::Ended(result) => {
            return Err(CliError::say(Exit::Failed, format!("{run} has not done what it was to do: {result}"))
                .code(code::RUN_UNREACHED.as_str())
                .hint(format!(
                    "`pilotlight run show {run}` says which step and why, `pilotlight status` how it stands now"
                )));
        }
        End::Waits(why) => {
            eprintln!("the run waits for a person:");
            for line in why {
                eprintln!("  - {line}");
            }
            eprintln!("next: `pilotlight run show {run}`, then one of");
            eprintln!("  pilotlight run approve|skip {run} STEP");
            eprintln!("  pilotlight run resume|abort {run}");
            Exit::Unknown.into()
        }
    })
}

enum End {
    Ended(RunResult),
    Waits(Vec<String>),
}

async fn follow(operator: &Operator, follower: &mut Follower, narrator: &mut Narrator) -> Result<End, Stopped> {
    loop {
        follower.next(operator, narrator).await?;
        let Some(state) = follower.state() else { continue };
        if let Some((result, _)) = state.ended() {
            return Ok(End::Ended(result));
        }
        if let Condition::Waiting { why } = state.condition() {
            return Ok(End::Waits(why));
        }
        narrator.waiting(&progress(&state.view()));
    }
}

/// `3 of 9 steps: promote database in west`.
pub(crate) fn progress(view: &RunView) -> String {
    let settled = view.steps.iter().filter(|s| s.ended.is_some()).count();
    let now: Vec<&str> =
        view.steps.iter().filter(|s| s.started.is_some() && s.ended.is_none()).map(|s| s.title.as_str()).collect();
    format!("{settled} of {} steps: {}", view.steps.len(), now.join(", "))
}

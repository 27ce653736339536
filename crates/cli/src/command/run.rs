//! `pilotlight run`: looks at runs and steers them.

use crate::args::{RunArgs, RunControlArgs, RunStepArgs, RunVerb, ViewArgs};
use crate::command::watch;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::id::{RunId, StepId};
use pilotlight_core::run::{Condition, RunView};
use pilotlight_core::time::{show_duration, show_wall};
use pilotlight_engine::RunSummary;
use pilotlight_server::api::view::{Action, ControlRequest, RunsView};
use std::path::Path;
use std::process::ExitCode;

/// Does it.
pub(crate) async fn run(verb: &RunVerb) -> Result<ExitCode, CliError> {
    match verb {
        RunVerb::List(args) => list(args).await,
        RunVerb::Show(args) => show(args).await,
        RunVerb::Watch(args) => {
            let operator = operator(&args.view.plan.plan)?;
            let run = named_or_newest(&operator, args.run.as_deref()).await?;
            watch::to_the_end(&operator, &run, args.view.json).await
        }
        RunVerb::Pause(args) => steer(Action::Pause, args).await,
        RunVerb::Resume(args) => steer(Action::Resume, args).await,
        RunVerb::Abort(args) => steer(Action::Abort, args).await,
        RunVerb::Skip(args) => steer_step(Action::Skip, args).await,
        RunVerb::Approve(args) => steer_step(Action::Approve, args).await,
    }
}

fn operator(plan: &Path) -> Result<Operator, CliError> {
    Operator::of(&connect::read_plan(plan)?)
}

/// A name that stands in a path of the API: anything else than what Pilotlight gives out would ask for something else.
pub(crate) fn in_path<'a>(name: &'a str, what: &str) -> Result<&'a str, CliError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(legal) {
        return Ok(name);
    }
    let (code, list) = match what {
        "run" => (code::NO_SUCH_RUN, "pilotlight run list"),
        _ => (code::NO_SUCH_BUNDLE, "pilotlight rescue list"),
    };
    Err(CliError::say(Exit::Usage, format!("{name:?} is no name of a {what}"))
        .code(code.as_str())
        .hint(format!("see `{list}` for those there are")))
}

/// The run of that name, else the newest.
pub(crate) async fn named_or_newest(operator: &Operator, name: Option<&str>) -> Result<RunId, CliError> {
    if let Some(name) = name {
        return Ok(RunId::new(in_path(name, "run")?));
    }
    let view: RunsView = operator.get("/v1/runs").await?;
    let newest = view.runs.into_iter().next().map(|r| r.run);
    newest.ok_or_else(|| CliError::say(Exit::Failed, "there was no run yet").code(code::NO_SUCH_RUN.as_str()))
}

async fn list(args: &ViewArgs) -> Result<ExitCode, CliError> {
    let view: RunsView = operator(&args.plan.plan)?.get("/v1/runs").await?;
    if args.json {
        print_json(&view)?;
        return Ok(ExitCode::SUCCESS);
    }
    if view.runs.is_empty() {
        println!("no runs yet");
    }
    for run in &view.runs {
        print!("{}", entry(run));
    }
    Ok(ExitCode::SUCCESS)
}

/// Two lines, so that a terminal of 80 columns shows them whole: what and when, then how it stands and who wanted it.
fn entry(run: &RunSummary) -> String {
    let took = run.ended.map(|e| format!("{}, ", show_duration(e.since(run.started)))).unwrap_or_default();
    format!(
        "{:<34} {}  {}\n    {took}{}; by {}: {}\n",
        run.run,
        show_wall(run.started),
        run.told,
        standing(&run.condition),
        run.by,
        run.why
    )
}

async fn show(args: &RunArgs) -> Result<ExitCode, CliError> {
    let operator = operator(&args.view.plan.plan)?;
    let run = named_or_newest(&operator, args.run.as_deref()).await?;
    let view: RunView = operator.get(&format!("/v1/runs/{run}")).await?;
    if args.view.json {
        print_json(&view)?;
    } else {
        print_view(&view);
    }
    Ok(ExitCode::SUCCESS)
}

async fn steer(action: Action, args: &RunControlArgs) -> Result<ExitCode, CliError> {
    let request = ControlRequest { action, step: None, by: connect::whoami(), why: args.why.clone() };
    send(&operator(&args.plan.plan)?, &args.run, &request).await
}

async fn steer_step(action: Action, args: &RunStepArgs) -> Result<ExitCode, CliError> {
    let step = Some(StepId::new(&args.step));
    let request = ControlRequest { action, step, by: connect::whoami(), why: args.why.clone() };
    send(&operator(&args.plan.plan)?, &args.run, &request).await
}

async fn send(operator: &Operator, run: &str, request: &ControlRequest) -> Result<ExitCode, CliError> {
    let run = in_path(run, "run")?;
    let view: RunView = operator.post(&format!("/v1/runs/{run}/control"), request).await?;
    print_view(&view);
    Ok(ExitCode::SUCCESS)
}

/// How a run stands, in a few words.
pub(crate) fn standing(condition: &Condition) -> String {
    match condition {
        Condition::Stalled { why } => format!("stands still and goes on by itself: {why}"),
        Condition::Running => "running".to_owned(),
        Condition::Pausing { steps, why } => {
            let steps: Vec<&str> = steps.iter().map(StepId::as_str).collect();
            format!("waits once {} has ended: {}", steps.join(", "), why.join("; "))
        }
        Condition::Unwinding { why } => format!("unwinding: {why}"),
        Condition::Waiting { why } => format!("waits for a person: {}", why.join("; ")),
        Condition::Ended { result } => result.to_string(),
    }
}

fn print_view(view: &RunView) {
    println!("{} of {}: {}", view.run, view.application, view.told());
    println!("  why      {} (by {})", view.cause.why, view.cause.by);
    for line in &view.cause.evidence {
        println!("           - {line}");
    }
    println!("  epoch    {}", view.epoch);
    println!("  started  {}", show_wall(view.started));
    println!("  stands   {}", standing(&view.condition));
    println!("  steps");
    for step in &view.steps {
        let took = match (step.started, step.ended) {
            (Some(from), Some(to)) => show_duration(to.since(from)),
            _ => "-".to_owned(),
        };
        let status = serde_json::to_value(step.status).ok().and_then(|v| v.as_str().map(str::to_owned));
        println!("    {:<18} {:>9}  {:<28} {}", status.unwrap_or_default(), took, step.id, step.title);
        if let Some(approval) = &step.approved {
            println!("    {:>30}approved by {} at {}", "", approval.by, show_wall(approval.at));
        }
        if let Some(note) = &step.note {
            println!("    {:>30}{note}", "");
        }
        if let Some(failure) = &step.failure {
            println!("    {:>30}{failure}", "");
            if let Some(hint) = &failure.hint {
                println!("    {:>30}hint: {hint}", "");
            }
        }
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    println!("{}", serde_json::to_string_pretty(value).map_err(|e| CliError::new(Exit::Bug, e))?);
    Ok(())
}

//! `pilotlight observe`: looks at the regions from a place of its own.

use crate::args::ObserveArgs;
use crate::command::{interrupt, log_to_stderr};
use crate::error::{CliError, Exit};
use crate::{connect, wiring};
use anyhow::Context;
use pilotlight_agent::{ObserverParts, observe};
use pilotlight_core::code;
use pilotlight_core::id::Observer;
use pilotlight_core::plan::Plan;
use pilotlight_driver::clock::SystemClock;
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs until it is told to stop; nothing depends on it but how much the controller knows.
pub(crate) async fn run(args: &ObserveArgs) -> Result<ExitCode, CliError> {
    log_to_stderr();
    let plan = Arc::new(connect::read_plan(&args.plan.plan)?);
    let observer = named(&plan, args.name.as_deref())?;
    let shutdown = CancellationToken::new();
    let observing = observe(ObserverParts {
        observer,
        clock: Arc::new(SystemClock),
        port_look: Arc::new(
            wiring::controller::Ports::of(&plan).asking(wiring::place::Place::of_observer(&plan)?.probes),
        ),
        client: connect::http_client(&plan)?,
        token: connect::secret(plan.controller.token_of_observers())?,
        plan,
        shutdown: shutdown.clone(),
    });
    tokio::pin!(observing);
    let ended = tokio::select! {
        ended = &mut observing => ended,
        () = interrupt() => {
            shutdown.cancel();
            observing.await
        }
    };
    ended.context("the observer has ended")?;
    Ok(ExitCode::SUCCESS)
}

fn named(plan: &Plan, name: Option<&str>) -> Result<Observer, CliError> {
    let known = &plan.policy.observers;
    match name {
        None if known.len() == 1 => Ok(known[0].clone()),
        Some(name) if known.iter().any(|o| o.as_str() == name) => Ok(Observer::new(name)),
        _ => {
            let what = match name {
                Some(name) => format!("the plan has no observer {name}"),
                None if known.is_empty() => "the plan has no observer".to_owned(),
                None => "the plan has several observers".to_owned(),
            };
            let names: Vec<&str> = known.iter().map(Observer::as_str).collect();
            let hint = match names.as_slice() {
                [] => "name this place in `policy.observers` of the plan, for controller and agents too".to_owned(),
                names => format!("name one of: {}", names.join(", ")),
            };
            Err(CliError::say(Exit::Usage, what).code(code::PLAN_OBSERVER.as_str()).hint(hint))
        }
    }
}

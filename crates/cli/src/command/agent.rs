//! `pilotlight agent`: runs beside what it keeps, in one region.

use crate::args::AgentArgs;
use crate::command::{interrupt, log_to_stderr};
use crate::error::{CliError, Exit};
use crate::{connect, wiring};
use anyhow::Context;
use pilotlight_agent::{AgentParts, FileNotes, GuardRuns, HttpWay};
use pilotlight_core::code;
use pilotlight_driver::clock::SystemClock;
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs until it is told to stop; databases and processes stay as they are.
pub(crate) async fn run(args: &AgentArgs) -> Result<ExitCode, CliError> {
    log_to_stderr();
    let plan = Arc::new(connect::read_plan(&args.plan.plan)?);
    let region = connect::region(&plan, &args.region)?;
    let token = connect::secret(plan.controller.token_of_agent(&region))?;
    let local = wiring::region::wire(&plan, &region, &args.state)?;
    let notes = FileNotes::open(&args.state)
        .with_context(|| format!("cannot use the state folder {} of the agent", args.state.display()))
        .map_err(|e| CliError::new(Exit::Failed, e).code(code::FILE_NOT_WRITTEN.as_str()))?;
    let way = HttpWay::new(connect::http_client(&plan)?, &plan.controller.urls(), token);
    let shutdown = CancellationToken::new();
    let crews = TaskTracker::new();
    for crew in local.crews {
        let stop = shutdown.clone();
        crews.spawn(async move { crew.inner().supervise(stop).await });
    }
    crews.close();
    let running = pilotlight_agent::run(AgentParts {
        region,
        driver: local.wired.driver,
        descriptors: local.wired.descriptors,
        ledger: local.ledger,
        gates: local.gates,
        clock: Arc::new(SystemClock),
        port_look: Arc::new(wiring::controller::Ports::of(&plan).asking(local.probes)),
        way: Arc::new(way),
        notes: Arc::new(notes),
        instance: pilotlight_agent::fresh_instance(),
        place: pilotlight_agent::place(&args.state),
        guard: GuardRuns::OnItsThread,
        plan,
        shutdown: shutdown.clone(),
    });
    tokio::pin!(running);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = interrupt() => {
            shutdown.cancel();
            running.await
        }
    };
    shutdown.cancel();
    crews.wait().await;
    ended.context("the agent has ended")?;
    Ok(ExitCode::SUCCESS)
}

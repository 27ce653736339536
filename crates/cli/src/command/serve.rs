//! `pilotlight serve`: the controller.

use crate::args::PlanArg;
use crate::command::{interrupt, log_to_stderr};
use crate::error::{CliError, Exit};
use crate::{connect, wiring};
use pilotlight_driver::clock::SystemClock;
use pilotlight_engine::granter::Granter;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::{Engine, EngineParts, sqlite};
use pilotlight_server::RecordingTo;
use pilotlight_server::hub::Hub;
use pilotlight_server::{Listen, ServeError, ServerParts, serve};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs until it is told to stop; what it leaves half done, the next controller continues.
pub(crate) async fn run(args: &PlanArg) -> Result<ExitCode, CliError> {
    log_to_stderr();
    let plan = Arc::new(connect::read_plan(&args.plan)?);
    // It was read a moment ago; without its text a recording is replayed with a plan that is named.
    let plan_text = std::fs::read_to_string(&args.plan).unwrap_or_default();
    let token = connect::secret(&plan.controller.token)?;
    let agent_token = plan.controller.agent_token.as_ref().map(connect::secret).transpose()?;
    let clock = Arc::new(SystemClock);
    // First of all: what cannot be served leaves no folder behind.
    let listener = pilotlight_server::bind(plan.controller.listen).map_err(refused)?;
    let (journal, store) = sqlite::open(&plan.controller.state).map_err(storage)?;
    let hub = Hub::new(clock.clone(), &plan.regions, plan.policy.renew, plan.policy.lease);
    let wired = wiring::controller::wire(&plan, &hub)?;
    let engine = Engine::open(EngineParts {
        store: Arc::new(store),
        journal: Arc::new(journal),
        driver: wired.driver.clone(),
        clock: clock.clone(),
        granter: Arc::new(Granter::new(clock.clone(), plan.policy.lease)),
        name: connect::whoami(),
    })
    .await
    .map_err(storage)?;
    let shutdown = CancellationToken::new();
    let serving = serve(ServerParts {
        engine,
        driver: wired.driver,
        descriptors: wired.descriptors,
        hub,
        clock,
        port_look: Arc::new(wiring::controller::Ports::of(&plan)),
        listen: Listen::On(listener),
        tls: plan.controller.tls.clone(),
        token,
        agent_token,
        reports: Some(plan.controller.state.join("reports")),
        recording: Some(RecordingTo { folder: plan.controller.state.join("observations"), plan_text }),
        shutdown: shutdown.clone(),
        plan,
    });
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended.map_err(refused)?,
        () = interrupt() => {
            shutdown.cancel();
            serving.await.map_err(refused)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::needless_pass_by_value)] // the shape map_err wants
fn storage(e: StorageError) -> CliError {
    let hint = match &e {
        // The engine's own hint is for a controller that runs; this one has not begun.
        StorageError::Io { .. } => "nothing was started; look at `controller.state` in the plan: may you write there?",
        StorageError::Full { .. } => "nothing was started; free some space and start again, no run is lost",
        other => other.hint(),
    };
    let code = e.code();
    CliError::new(Exit::Failed, e).code(code).hint(hint)
}

fn refused(e: ServeError) -> CliError {
    let (code, hint) = (e.code(), e.hint());
    CliError::new(Exit::Failed, e).code(code).hint(hint)
}

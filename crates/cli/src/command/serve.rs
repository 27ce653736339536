//! `pilotlight serve`: a controller.

mod figures;

use crate::args::MemberArgs;
use crate::command::{interrupt, log_to_stderr};
use crate::connect;
use crate::error::{CliError, Exit};
use crate::wiring::controller::{Ports, ledger, wire};
use crate::wiring::place::Place;
use crate::wiring::store::{self, Opened};
use pilotlight_core::code;
use pilotlight_core::plan::{Member, Plan};
use pilotlight_driver::clock::SystemClock;
use pilotlight_driver::guard::Ledger;
use pilotlight_engine::granter::Granter;
use pilotlight_engine::lead::Lead;
use pilotlight_engine::{Engine, EngineParts};
use pilotlight_server::RecordingTo;
use pilotlight_server::hub::Hub;
use pilotlight_server::{Assemble, ControllerParts, Door, Listen, ServeError, ServerParts, Standing, serve};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs until it is told to stop; what it leaves half done, the next controller continues.
pub(crate) async fn run(args: &MemberArgs) -> Result<ExitCode, CliError> {
    log_to_stderr();
    let plan = Arc::new(connect::read_plan(&args.plan.plan)?);
    let member = connect::member(&plan, args.member.as_deref())?.clone();
    // It was read a moment ago; without its text a recording is replayed with a plan that is named.
    let plan_text = std::fs::read_to_string(&args.plan.plan).unwrap_or_default();
    let recording = RecordingTo { folder: member.state.join("observations"), plan_text };
    let token = connect::secret(&plan.controller.token)?;
    let agent_token = plan.controller.agent_token.as_ref().map(connect::secret).transpose()?;
    let clock = Arc::new(SystemClock);
    // First of all: what cannot be served leaves no folder behind.
    let listener = pilotlight_server::bind(member.listen).map_err(refused)?;
    let opened = store::open(&plan, &member).await?;
    let ledger = ledger(&member.state)?;
    // What cannot be wired is said now and not at the first lead.
    wire(&plan, &Hub::new(clock.clone(), &plan.regions, plan.policy.renew, plan.policy.lease), &ledger)?;
    let shutdown = CancellationToken::new();
    let shared = plan.controller.store.is_shared().then(|| opened.store.clone());
    let publishing = tokio::spawn(figures::run(plan.clone(), member.clone(), token.clone(), shutdown.clone()));
    let standing = Standing {
        name: member.name.clone(),
        url: member.url.clone(),
        store: shared,
        lease: plan.leader_lease(),
        hold: plan.hold_file(&member),
    };
    let serving = serve(ControllerParts {
        clock,
        door: Door { listen: Listen::On(listener), tls: plan.controller.tls.clone(), token, agent_token },
        standing,
        assemble: assemble(plan.clone(), member, opened, ledger, recording),
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
    shutdown.cancel();
    // It ends at shutdown; whatever became of it is nothing to the controller.
    let _ = publishing.await;
    Ok(ExitCode::SUCCESS)
}

/// What makes the parts of each term.
fn assemble(plan: Arc<Plan>, member: Member, opened: Opened, ledger: Arc<Ledger>, recording: RecordingTo) -> Assemble {
    let opened = Arc::new(opened);
    Box::new(move |lead| {
        let (plan, member, opened, ledger) = (plan.clone(), member.clone(), opened.clone(), ledger.clone());
        let recording = recording.clone();
        Box::pin(async move {
            let parts = parts(&plan, &member, &opened, &ledger, lead).await?;
            Ok(ServerParts { recording: Some(recording), ..parts })
        })
    })
}

async fn parts(
    plan: &Plan,
    member: &Member,
    opened: &Opened,
    ledger: &Arc<Ledger>,
    lead: Lead,
) -> Result<ServerParts, ServeError> {
    let clock = Arc::new(SystemClock);
    let hub = Hub::new(clock.clone(), &plan.regions, plan.policy.renew, plan.policy.lease);
    let unmade = |e: CliError| ServeError::Parts(format!("{:#}", e.cause));
    let wired = wire(plan, &hub, ledger).map_err(unmade)?;
    let name = match lead.is_contested() {
        true => format!("{} ({})", member.name, connect::whoami()),
        false => connect::whoami(),
    };
    let engine = Engine::open(EngineParts {
        store: opened.store.clone(),
        journal: opened.journal.clone(),
        driver: wired.driver,
        clock: clock.clone(),
        granter: Arc::new(Granter::new(clock, plan.policy.lease)),
        name,
        lead: lead.clone(),
    })
    .await?;
    for unit in plan.units() {
        engine.met(unit, ledger.epoch(unit));
        if let Some(behind) = engine.behind(unit) {
            tracing::error!(%unit, "{}: {behind}; {}", code::STORE_BEHIND, behind.hint());
        }
    }
    let probes = Place::of(plan, None).map_err(unmade)?.probes;
    let port_look = Arc::new(Ports::of(plan).asking(probes));
    let reports = Some(member.state.join("reports"));
    Ok(ServerParts { engine, descriptors: wired.descriptors, hub, port_look, reports, recording: None, lead })
}

fn refused(e: ServeError) -> CliError {
    let (code, hint) = (e.code(), e.hint());
    CliError::new(Exit::Failed, e).code(code).hint(hint)
}

//! `pilotlight serve`: a controller.

mod figures;

use crate::args::MemberArgs;
use crate::command::{interrupt, log_to_stderr};
use crate::connect;
use crate::error::{CliError, Exit};
use crate::wiring::controller::ledger;
use crate::wiring::term::{Kept, assemble, try_wiring};
use crate::wiring::{secrets, store};
use pilotlight_driver::clock::SystemClock;
use pilotlight_server::{Bounds, ControllerParts, Door, Listen, Orders, RecordingTo, ServeError, Standing, serve};
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
    let recording = Some(RecordingTo { folder: member.state.join("observations"), plan_text });
    let token = connect::secret(&plan.controller.token)?;
    let tokens = secrets::tokens(&plan)?;
    // First of all: what cannot be served leaves no folder behind.
    let listener = pilotlight_server::bind(member.listen).map_err(refused)?;
    let opened = Arc::new(store::open(&plan, &member).await?);
    let ledger = ledger(&member.state)?;
    try_wiring(&plan, &ledger)?;
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
    let orders = Orders::default();
    let serving = serve(ControllerParts {
        clock: Arc::new(SystemClock),
        door: Door {
            listen: Listen::On(listener),
            tls: plan.controller.tls.clone(),
            tokens,
            bounds: Bounds::default(),
        },
        standing,
        assemble: assemble(Kept { plan: plan.clone(), member, opened, ledger, recording, orders }),
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

fn refused(e: ServeError) -> CliError {
    let (code, hint) = (e.code(), e.hint());
    CliError::new(Exit::Failed, e).code(code).hint(hint)
}

//! `pilotlight demo`: plays the acts, prints the figures, writes the report, leaves nothing behind.

use crate::args::{DemoArgs, FaultArg};
use crate::command::{interrupt_or_hangup, report};
use crate::demo::DemoError;
use crate::demo::acts::{self, Lost, Moved};
use crate::demo::evidence::{self, Played};
use crate::demo::figures::{self, Figures};
use crate::demo::plan::{Controllers, Settings, service_url};
use crate::demo::scene::Scene;
use crate::demo::stage::Stage;
use crate::error::{CliError, Exit};
use crate::follow::Follower;
use crate::narrator::{Narrator, Voice};
use pilotlight_core::plan::ConnectionFence;
use pilotlight_core::run::RunState;
use pilotlight_driver::clock::SystemClock;
use pilotlight_engine::measure::{Client, ClientHandle, ClientParts};
use pilotlight_lab::net::{Place, Threads, Want};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Payments before anything dies, so that a person sees them flow and the figures have a baseline.
const BUSINESS_AS_USUAL: Duration = Duration::from_secs(3);

/// The service is ready before; a machine under load may still be slow.
const FIRST_PAYMENT: Duration = Duration::from_secs(30);

/// Payments after a move, so that what comes late is still seen.
const AFTERWARDS: Duration = Duration::from_millis(1_500);

/// A payment that takes longer has failed for a user.
const USER_PATIENCE: Duration = Duration::from_secs(1);

/// Plays it. Exit 0 only if all held.
pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode, CliError> {
    report::writable(&args.report)?;
    // Listened for before anything exists, so that Ctrl-C never finds the demo without its cleaner.
    let interrupted = interrupt_or_hangup();
    tokio::pin!(interrupted);
    let mut narrator = Narrator::new(if args.json { Voice::Stderr } else { Voice::Stdout });
    let mut stage = Stage::prepare(settings(&args), args.keep)?;
    let figures = tokio::select! {
        biased;
        () = &mut interrupted => None,
        figures = play(&mut stage, &mut narrator, &args) => Some(figures),
    };
    narrator.release();
    narrator.done_waiting();
    if matches!(figures, Some(Err(_))) {
        eprintln!("{}", stage.logs());
    }
    let folder = stage.folder().to_owned();
    let left = tokio::task::spawn_blocking(move || stage.close()).await.unwrap_or_default();
    for process in &left {
        eprintln!("warning: process {} ({}) could not be ended", process.pid, process.name);
    }
    if args.keep {
        narrator.line(&format!("\neverything is kept in {}", folder.display()));
    }
    match figures {
        None => {
            eprintln!("interrupted; every process was ended and the folder removed");
            Ok(Exit::Interrupted.into())
        }
        Some(Err(e)) => Err(e.into()),
        Some(Ok(figures)) => finish(&args, &mut narrator, &figures),
    }
}

fn settings(args: &DemoArgs) -> Settings {
    let on_postmaster_death = if args.fault == FaultArg::Postmaster { "failover" } else { "restart" };
    Settings {
        lease: format!("{}ms", args.lease.as_millis()),
        rpo: "5s",
        on_postmaster_death,
        guarantee: "bounded",
        rate: args.rate,
        rows: true,
        shared_buffers: "64MB",
        net: if args.fault == FaultArg::Partition { Want::Best } else { Want::Plain },
        controllers: Controllers::One,
        shares: None,
        fence: ConnectionFence::None,
    }
}

fn finish(args: &DemoArgs, narrator: &mut Narrator, figures: &Figures) -> Result<ExitCode, CliError> {
    narrator.line(&format!("\nWhat was promised and what was measured\n\n{}", figures::table(figures)));
    if let Some(report) = &figures.report {
        narrator.line(&format!("  report: {}", report.display()));
    }
    narrator.line(&format!("  next: {}", next(args)));
    if args.json {
        println!("{}", serde_json::to_string_pretty(figures).map_err(|e| CliError::new(Exit::Bug, e))?);
    }
    Ok(if figures.objectives_met { ExitCode::SUCCESS } else { Exit::Failed.into() })
}

/// What to do now.
fn next(args: &DemoArgs) -> &'static str {
    // Only where the whole region dies with what was held back there is something that comes back.
    if args.lag.is_zero() && args.fault == FaultArg::Region {
        "`pilotlight demo --lag 500ms` shows lost payments come back; `pilotlight init` writes a plan for your own application"
    } else {
        "`pilotlight init` writes a plan for your own application"
    }
}

async fn play(stage: &mut Stage, narrator: &mut Narrator, args: &DemoArgs) -> Result<Figures, DemoError> {
    let operator = stage.operator()?;
    let mut scene = Scene { stage, narrator, operator };
    let origin = evidence::origin();
    acts::open(&mut scene).await?;
    let (client, _users) = start_client(&scene, args.rate).await?;
    scene.narrator.event(&format!(
        "an outside client pays {} times a second at {}",
        args.rate,
        service_url(&scene.stage.sites)
    ));
    first_payment(&mut scene, &client).await?;
    scene.pass("business as usual", BUSINESS_AS_USUAL).await;
    let paid = client.live().acked_last_second;
    scene.narrator.event(&format!("business as usual: {paid} payments in the last second"));

    let Lost { at: lost_at, run: failover } = acts::lose(&mut scene, &client, args.fault, args.lag).await?;
    scene.pass("payments go on", AFTERWARDS).await;
    let rejoin = acts::come_back(&mut scene, args.fault).await?;
    let rescued = acts::rescue(&mut scene).await?;
    scene.pass("payments go on", AFTERWARDS).await;
    let to = if failover.is_some() { "east" } else { "west" };
    let Moved { at: moved_at, run: switch } = acts::switch_over(&mut scene, &client, to).await?;
    scene.pass("payments go on", AFTERWARDS).await;
    let mut log = client.stop().await;
    // What failed while the service warmed up is no outage of a move.
    let open_since = log.samples.iter().filter(|s| s.ok).map(|s| s.start).min();
    log.samples.retain(|s| open_since.is_none_or(|open| open <= s.start));
    let held = evidence::held(&scene, &log, to).await?;
    let runs = [failover.as_ref(), rejoin.as_ref(), Some(&switch)].into_iter().flatten();
    let runs = runs.filter_map(Follower::state).map(RunState::view).collect();
    let played = Played { fault: args.fault, origin, lost_at, moved_at, runs, rescued, held, log };
    evidence::figures(&scene, played, &args.report).await
}

/// On a busy machine the service takes its first connections slowly; what counts starts with the first good payment.
async fn first_payment(scene: &mut Scene<'_>, client: &ClientHandle) -> Result<(), DemoError> {
    scene.narrator.waiting("waiting for the first payment");
    let mut live = client.watch();
    let paid = live.wait_for(|live| live.last_acked.is_some());
    let in_time = tokio::time::timeout(FIRST_PAYMENT, paid).await.is_ok_and(|paid| paid.is_ok());
    scene.narrator.done_waiting();
    if in_time {
        return Ok(());
    }
    let seen = client.live().last_failure.map_or_else(|| "no payment ended".to_owned(), |f| f.error);
    Err(DemoError::Waited { what: "the first payment".to_owned(), seconds: FIRST_PAYMENT.as_secs(), seen })
}

/// The client is where the users are; what it runs on goes with the threads.
async fn start_client(scene: &Scene<'_>, rate: u32) -> Result<(ClientHandle, Threads), DemoError> {
    let stage = &scene.stage;
    let parts = ClientParts {
        url: format!("{}/pay", service_url(&stage.sites)),
        dns_server: SocketAddr::new(stage.net.address(Place::Third), stage.sites.dns_port),
        rate,
        timeout: USER_PATIENCE,
        log_path: stage.folder().join("client.jsonl"),
        keep: pilotlight_engine::measure::client::KEEP,
        clock: Arc::new(SystemClock),
    };
    let threads =
        stage.net.door(Place::Clients).threads("users").map_err(|e| DemoError::at("the outside client", e))?;
    let started = threads.run(Client::start(parts)).await;
    let client = started.map_err(|e| DemoError::at("the outside client", std::io::Error::other(e)))?;
    Ok((client, threads))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Verb};
    use clap::Parser;

    #[test]
    fn every_lease_that_can_be_typed_makes_a_plan_without_faults() {
        for lease in ["1s", "3s", "10s", "30s"] {
            for fault in ["region", "postmaster"] {
                let typed = ["pilotlight", "demo", "--lease", lease, "--fault", fault];
                let Verb::Demo(args) = Cli::try_parse_from(typed).unwrap().verb else { panic!("the demo") };
                let stage = Stage::prepare(settings(&args), false).unwrap_or_else(|e| panic!("{lease}, {fault}: {e}"));
                assert_eq!(stage.plan.policy.lease, args.lease);
                assert!(stage.plan.objectives.rto >= Duration::from_secs(10), "{lease}");
                stage.close();
            }
        }
    }
}

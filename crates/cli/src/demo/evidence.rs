//! From what was seen to the figures and the report.

use super::acts::Rescued;
use super::figures::{self, Figures, MoveFigures, ObjectiveFigures, RescueFigures};
use super::scene::Scene;
use super::{DemoError, FaultArg};
use clap::ValueEnum;
use pilotlight_core::id::Region;
use pilotlight_core::measure;
use pilotlight_core::placement::Verb;
use pilotlight_core::run::RunView;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::measure::{ClientLog, held_numbers};
use pilotlight_engine::report::{Fault, Move, Origin, Report, Session};
use pilotlight_lab::database;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Everything that was seen.
pub(crate) struct Played {
    /// What died.
    pub(crate) fault: FaultArg,
    /// Where the report's time starts.
    pub(crate) origin: Origin,
    /// When it died.
    pub(crate) lost_at: Mono,
    /// When the planned move was asked for.
    pub(crate) moved_at: Mono,
    /// Every run, in order.
    pub(crate) runs: Vec<RunView>,
    /// What was kept of the loss.
    pub(crate) rescued: Option<Rescued>,
    /// Payments that the writer holds at the very end.
    pub(crate) held: BTreeSet<u64>,
    /// What the outside client wrote down.
    pub(crate) log: ClientLog,
}

/// Where the report's time starts: now.
pub(crate) fn origin() -> Origin {
    Origin { wall: SystemClock.wall(), mono: SystemClock.mono() }
}

/// The payments of the client that the database of a region holds.
///
/// To be asked when the client has stopped: a payment made after the question would look lost.
pub(crate) async fn held(scene: &Scene<'_>, log: &ClientLog, region: &str) -> Result<BTreeSet<u64>, DemoError> {
    let writer = scene.stage.database(region);
    // The prefix is the client's own name: letters, digits and dashes.
    let asked = held_numbers(&log.client, Duration::from_secs(30), async |prefix| {
        database::column(&writer, &format!("select id from payments where id like '{prefix}%'")).await
    });
    asked.await.map_err(|e| DemoError::Database {
        region: region.to_owned(),
        what: "say which payments it holds",
        source: Box::new(e),
    })
}

/// Measures, writes the report, holds the figures against the objectives.
pub(crate) async fn figures(scene: &Scene<'_>, played: Played, folder: &Path) -> Result<Figures, DemoError> {
    let plan = &scene.stage.plan;
    let faults = [fault(&played)];
    let rescue = rescue(&played).await;
    // As it was when the failover had ended: what came back out of the bundle was lost until then.
    let before: BTreeSet<u64> = played.held.difference(&rescue.kept).copied().collect();
    let report = session(scene, &played, &faults, &before).report();
    let of = |planned: bool| -> Option<&Move> {
        let verbs = played.runs.iter().map(|r| matches!(r.intent.verb, Verb::Switchover | Verb::Failback));
        let mut fits = verbs.zip(&played.runs).zip(&report.moves);
        // Of several attempts it is the last that users were served again by; what they felt is told with it, whole.
        fits.rfind(|((is_planned, run), _)| *is_planned == planned && run.intent.verb.moves()).map(|(_, m)| m)
    };
    let still = || {
        let samples = figures::between(&played.log.samples, played.lost_at, played.moved_at);
        MoveFigures::of_stillness(&samples, &played.held)
    };
    let failover = of(false).map_or_else(still, |one| MoveFigures::of_move(one, report.rpo.at_most_ms));
    let switchover = of(true).map(|one| MoveFigures::of_move(one, None)).unwrap_or_default().planned();
    let rescue = rescue.figures(&played, &before);
    let checks = figures::checks(played.fault, &plan.objectives, &failover, &switchover, &rescue);
    let objectives = ObjectiveFigures { rto_ms: plan.objectives.rto, rpo_ms: plan.objectives.rpo };
    let written = write(report, folder).await?;
    Ok(Figures {
        schema: 1,
        fault: played.fault.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default(),
        objectives_met: checks.iter().all(|c| c.held),
        failover,
        switchover,
        rescue,
        objectives,
        checks,
        report: Some(written),
    })
}

fn fault(played: &Played) -> Fault {
    let text = match played.fault {
        FaultArg::Postmaster => "PostgreSQL of east killed",
        FaultArg::Region => "every process of east killed",
        FaultArg::Agent => "the agent of east killed",
        FaultArg::Controller => "every process of east killed, then the controller",
        FaultArg::Partition => "east cut off from everybody",
        FaultArg::FreezeAgent => "the agent of east frozen",
    };
    Fault {
        at: wall_of(&played.origin, played.lost_at),
        region: (!played.fault.leaves_the_writer()).then(|| Region::new("east")),
        text: text.to_owned(),
    }
}

/// The payments of the client that the bundle holds.
struct Kept {
    bundle: Option<String>,
    kept: BTreeSet<u64>,
}

async fn rescue(played: &Played) -> Kept {
    let Some(rescued) = &played.rescued else { return Kept { bundle: None, kept: BTreeSet::new() } };
    let of_client = async |prefix: &str| {
        let own = rescued.payments.iter().filter(|id| id.starts_with(prefix));
        Ok::<_, std::io::Error>(own.cloned().collect::<Vec<_>>())
    };
    let kept = held_numbers(&played.log.client, Duration::from_secs(1), of_client).await.unwrap_or_default();
    Kept { bundle: Some(rescued.bundle.clone()), kept }
}

impl Kept {
    fn figures(&self, played: &Played, before: &BTreeSet<u64>) -> RescueFigures {
        let lost: BTreeSet<u64> = measure::loss(&played.log.samples, before).lost.into_iter().collect();
        RescueFigures {
            bundle: self.bundle.clone(),
            lost: lost.len() as u64,
            in_bundle: lost.intersection(&self.kept).count() as u64,
            applied: lost.intersection(&played.held).count() as u64,
            nowhere: lost.iter().filter(|n| !self.kept.contains(n) && !played.held.contains(n)).count() as u64,
        }
    }
}

fn session<'a>(scene: &'a Scene<'_>, played: &'a Played, faults: &'a [Fault], held: &'a BTreeSet<u64>) -> Session<'a> {
    Session {
        plan: &scene.stage.plan,
        title: format!("Demo: {}", faults.first().map_or("", |f| f.text.as_str())),
        origin: played.origin,
        writer: Region::new("east"),
        runs: &played.runs,
        faults,
        samples: &played.log.samples,
        held: Some(held),
        environment: environment(),
        notes: vec![
            "Everything ran on one machine: the distance between the regions is that of the loopback.".to_owned(),
        ],
    }
}

fn wall_of(origin: &Origin, at: Mono) -> pilotlight_core::time::Wall {
    let since = u64::try_from(at.since(origin.mono).as_millis()).unwrap_or(u64::MAX);
    pilotlight_core::time::Wall(origin.wall.0.saturating_add(since))
}

fn environment() -> BTreeMap<String, String> {
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    BTreeMap::from([("pilotlight".to_owned(), env!("CARGO_PKG_VERSION").to_owned()), ("system".to_owned(), system)])
}

async fn write(report: Report, folder: &Path) -> Result<std::path::PathBuf, DemoError> {
    let to = folder.to_owned();
    let written = tokio::task::spawn_blocking(move || report.write(&to)).await;
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| DemoError::at("the report", std::io::Error::other(e));
    let paths = written.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))?;
    Ok(std::path::absolute(&paths.html).unwrap_or(paths.html))
}

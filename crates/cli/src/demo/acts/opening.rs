//! Act one: two regions, a third place, and the service open for business.

use crate::demo::DemoError;
use crate::demo::scene::Scene;
use crate::wiring;
use pilotlight_lab::bare::BareServer;
use pilotlight_lab::{database, payments};
use std::time::Duration;

/// Creating a cluster and starting the first processes takes a few seconds; a slow disk may need more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts everything and waits until west follows east and the name leads to east.
pub(crate) async fn open(scene: &mut Scene<'_>) -> Result<(), DemoError> {
    scene
        .narrator
        .act("Opening: two regions, east (home) and west (standby), and a third place for controller and DNS");
    make_databases(scene).await?;
    scene.stage.start_third_place()?;
    scene.stage.start_agent("east")?;
    scene.stage.start_agent("west")?;
    scene.until("east to become the writer", PATIENCE, |s| s.writer_in("east")).await?;
    scene.narrator.event("controller, DNS and both agents run; east holds the lease and is the writer");
    scene.until("west to follow east", PATIENCE, |s| s.follows("west")).await?;
    scene.narrator.event("west follows east by streaming replication");
    if scene.stage.settings.waits() {
        scene.until("west to become the candidate", PATIENCE, |s| s.is_candidate("west")).await?;
        scene.narrator.event("west is the candidate: east acknowledges what west has, or what its gate confirms");
    }
    scene.until("the name to lead to east", PATIENCE, |s| s.routed_to("east")).await?;
    scene.until("everything to be healthy", PATIENCE, |s| s.is_healthy_in("east")).await
}

/// A pair as its owner would have made it: a first database with the service's tables, and a copy of it.
async fn make_databases(scene: &mut Scene<'_>) -> Result<(), DemoError> {
    let (east, west) = (&scene.stage.sites.east, &scene.stage.sites.west);
    let (first, copy) = (scene.stage.database("east"), scene.stage.database("west"));
    let buffers = scene.stage.settings.shared_buffers;
    let failed = |what: &'static str| {
        move |source: Box<dyn std::error::Error + Send + Sync>| DemoError::Database {
            region: "east".to_owned(),
            what,
            source,
        }
    };
    scene.narrator.waiting("making the database of east and its copy in west");
    wiring::lab::create_database(&east.data_dir(), &first, buffers).await.map_err(failed("be created"))?;
    let bin_dir = wiring::lab::bin_dir().map_err(failed("be started"))?;
    let server =
        BareServer { data_dir: east.data_dir(), database: first.clone(), door: scene.stage.net.door(east.place) };
    server.start(&bin_dir).map_err(|e| failed("be started")(e.into()))?;
    let schema = format!("{}; {}", payments::SCHEMA, pilotlight_lab::writer::SCHEMA);
    database::execute(&first, &schema).await.map_err(|e| failed("take the tables")(e.into()))?;
    wiring::lab::clone_database(&west.data_dir(), &copy, first.at, buffers).await.map_err(failed("be copied"))?;
    server.stop(&bin_dir).map_err(|e| failed("be stopped")(e.into()))?;
    scene.narrator.event("two PostgreSQL clusters made: a first one in east, a copy of it in west");
    Ok(())
}

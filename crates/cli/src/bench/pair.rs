//! The pair under test: a real Pilotlight set-up whose writer is moved to and fro.

use crate::command::moves;
use crate::demo::DemoError;
use crate::demo::acts;
use crate::demo::plan::Settings;
use crate::demo::scene::Scene;
use crate::demo::stage::Stage;
use crate::follow::Follower;
use crate::narrator::{Narrator, Voice};
use crate::operator::Operator;
use pilotlight_core::id::RunId;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::run::{Event, RunResult};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::database::{self, Database};
use pilotlight_lab::writer::{Log, Order, Writer};
use std::collections::BTreeSet;
use std::time::Duration;

/// Like the peers' measurements.
pub(crate) const SMALL_BUFFERS: &str = "64MB";
/// Room for 500 MB of dirty pages.
pub(crate) const LARGE_BUFFERS: &str = "1GB";

/// On a busy machine a step may take too long, instances that are well may not answer in time, and what is to be struck may be over
/// before; then it is tried again.
pub(crate) const TRIES: u32 = 5;

const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at what takes a moment.
const LOOK: Duration = Duration::from_millis(10);

/// The set-up and who is the writer now.
pub(crate) struct Pair {
    stage: Stage,
    narrator: Narrator,
    operator: Operator,
    writer: &'static str,
}

impl Pair {
    /// Starts it.
    pub(crate) async fn start(settings: Settings) -> Result<Self, DemoError> {
        let mut stage = Stage::prepare(settings, false)?;
        let operator = stage.operator()?;
        let mut narrator = Narrator::new(Voice::Silent);
        let mut scene = Scene { stage: &mut stage, narrator: &mut narrator, operator: operator.clone() };
        acts::open(&mut scene).await?;
        Ok(Self { stage, narrator, operator, writer: "east" })
    }

    /// The set-up as the acts of the demo want it.
    pub(crate) fn scene(&mut self) -> Scene<'_> {
        Scene { stage: &mut self.stage, narrator: &mut self.narrator, operator: self.operator.clone() }
    }

    /// Where the writer is.
    pub(crate) fn writer(&self) -> &'static str {
        self.writer
    }

    /// Where it is not.
    pub(crate) fn standby(&self) -> &'static str {
        if self.writer == "east" { "west" } else { "east" }
    }

    /// The writer's database.
    pub(crate) fn database(&self) -> Database {
        self.stage.database(self.writer)
    }

    /// The stage, to break something on it.
    pub(crate) fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// A writer at PostgreSQL level, with an empty table before it.
    pub(crate) async fn write(&mut self) -> Result<Writer, DemoError> {
        statement(&self.database(), "truncate heartbeat").await?;
        let servers = ["east", "west"].map(|region| self.stage.database(region).at).into();
        Writer::start(Order::of(servers, self.database().password)).map_err(|e| DemoError::at("the writer", e))
    }

    /// The writer is in the other region now: waits until the old one follows it and nothing is under way.
    pub(crate) async fn settle(&mut self) -> Result<(), DemoError> {
        let (old, new) = (self.writer, self.standby());
        let waits = self.stage.settings.waits();
        let mut scene = self.scene();
        scene.until("the old region to follow", PATIENCE, |s| s.follows(old)).await?;
        scene.until("the new region to be healthy", PATIENCE, |s| s.is_healthy_in(new)).await?;
        scene.until("runs to end", PATIENCE, |s| s.is_idle()).await?;
        if waits {
            scene.until("the old region to become the candidate", PATIENCE, |s| s.is_candidate(old)).await?;
        }
        self.settled_in(new).await
    }

    /// Waits until one region is the writer, whichever, the other follows it and nothing is under way.
    pub(crate) async fn settle_wherever(&mut self) -> Result<(), DemoError> {
        let waits = self.stage.settings.waits();
        let mut scene = self.scene();
        let writer = scene
            .until("the pair to settle", PATIENCE, |s| {
                let (writer, standby) = if s.writer() == Some("east") { ("east", "west") } else { ("west", "east") };
                s.is_idle()?;
                s.is_healthy_in(writer)?;
                s.follows(standby)?;
                if waits {
                    s.is_candidate(standby)?;
                }
                Ok(writer)
            })
            .await?;
        self.settled_in(writer).await
    }

    async fn settled_in(&mut self, writer: &'static str) -> Result<(), DemoError> {
        self.writer = writer;
        let units: serde_json::Value = serde_json::json!({ "by": "the benchmark" });
        let acknowledged: Result<serde_json::Value, _> =
            self.operator.post("/v1/units/payments/acknowledge", &units).await;
        acknowledged.map_err(|e| DemoError::Refused(format!("{:#}", e.cause)))?;
        wait_streaming(&self.database()).await
    }

    /// Starts a switchover to the other region. A leader that has just begun hears agents a moment later, and refuses until then.
    pub(crate) async fn switch(&mut self) -> Result<RunId, DemoError> {
        let (to, operator) = (self.standby(), &self.operator);
        until("a switchover to be taken on", async || {
            moves::start(operator, "switchover", to, "the benchmark").await.ok()
        })
        .await
    }

    /// The writer is in the other region afterwards, and nothing has settled.
    pub(crate) async fn move_away(&mut self) -> Result<(), DemoError> {
        for _ in 0..TRIES {
            let run = self.switch().await?;
            if self.has_moved(run).await? {
                return Ok(());
            }
        }
        Err(DemoError::Refused(format!("{TRIES} moves were taken back")))
    }

    /// Waits for the end of a run, which moved the writer.
    pub(crate) async fn finish(&mut self, run: RunId) -> Result<(), DemoError> {
        let run = self.ended(run).await?;
        if is_done(&run) { Ok(()) } else { Err(ended_otherwise(&run)) }
    }

    /// The same; says what [`has_moved`] does.
    pub(crate) async fn has_moved(&mut self, run: RunId) -> Result<bool, DemoError> {
        has_moved(&self.ended(run).await?)
    }

    async fn ended(&mut self, run: RunId) -> Result<Follower, DemoError> {
        let mut run = Follower::new(run).within(PATIENCE);
        while !run.has_ended() {
            let next = run.next(&self.operator, &mut self.narrator).await;
            next.map_err(|e| e.before("the end of the run"))?;
        }
        Ok(run)
    }

    /// The newest failover, if there was one.
    pub(crate) async fn last_failover(&mut self) -> Option<RunId> {
        self.scene().look().await.ok()?.failover_run().ok()
    }

    /// Follows a run until a record is there that is wanted.
    pub(crate) async fn until_record(
        &mut self,
        run: &mut Follower,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> Result<(), DemoError> {
        loop {
            let next = run.next(&self.operator, &mut self.narrator).await;
            let new = next.map_err(|e| e.before("the next record of the run"))?;
            if new.iter().any(|record| wanted(&record.event)) {
                return Ok(());
            }
        }
    }

    /// Ends everything.
    pub(crate) fn close(self) {
        self.stage.close();
    }
}

/// Of a run that has ended: `false` when it was taken back for something that passes, as when this machine was too slow for a
/// step.
pub(crate) fn has_moved(run: &Follower) -> Result<bool, DemoError> {
    let passes = run.records.iter().rev().find_map(|record| match &record.event {
        Event::StepReturned { result: Err(failure), .. } => Some(failure.kind == FailureKind::Transient),
        _ => None,
    });
    match run.ended() {
        Some(RunResult::Undone) if passes == Some(true) => Ok(false),
        _ if is_done(run) => Ok(true),
        _ => Err(ended_otherwise(run)),
    }
}

fn is_done(run: &Follower) -> bool {
    run.ended().is_some_and(RunResult::is_done)
}

fn ended_otherwise(run: &Follower) -> DemoError {
    let told: Vec<String> = run.records.iter().rev().take(8).rev().map(|r| format!("{:?}", r.event)).collect();
    let ended = run.ended().map_or_else(String::new, |result| result.to_string());
    DemoError::Refused(format!("a move ended as {ended}; its last records: {}", told.join("; ")))
}

/// Waits until a look finds something.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> Result<T, DemoError> {
    let end = SystemClock.mono() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if SystemClock.mono() > end {
            let seen = "nothing of the kind".to_owned();
            return Err(DemoError::Waited { what: what.to_owned(), seconds: PATIENCE.as_secs(), seen });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Acknowledged rows that the database does not hold.
pub(crate) async fn lost(log: &Log, database: &Database) -> Result<u64, DemoError> {
    let held =
        database::column(database, "select id::text from heartbeat").await.map_err(|e| refused("list rows", e))?;
    let held: BTreeSet<i64> = held.iter().filter_map(|id| id.parse().ok()).collect();
    Ok(log.lost(&held).len() as u64)
}

/// Waits until a standby has replayed all there is.
pub(crate) async fn wait_streaming(database: &Database) -> Result<(), DemoError> {
    let query = "select count(*)::text from pg_stat_replication \
                 where state = 'streaming' and replay_lsn = pg_current_wal_lsn()";
    let end = SystemClock.mono() + PATIENCE;
    loop {
        let seen = database::column(database, query).await.map_err(|e| refused("say who follows", e))?;
        if seen.first().is_some_and(|n| n != "0") {
            return Ok(());
        }
        if SystemClock.mono() > end {
            let what = "a standby that holds all".to_owned();
            return Err(DemoError::Waited { what, seconds: PATIENCE.as_secs(), seen: format!("{seen:?} standbys") });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Dirties half a gigabyte of buffers.
pub(crate) async fn make_dirty(database: &Database) -> Result<(), DemoError> {
    let fill = "create table if not exists dirty (id bigint, filler text); truncate dirty; \
                insert into dirty select g, repeat('x', 1000) from generate_series(1, 480000) g";
    statement(database, fill).await?;
    wait_streaming(database).await
}

/// `CHECKPOINT`.
pub(crate) async fn checkpoint(database: &Database) -> Result<(), DemoError> {
    statement(database, "checkpoint").await
}

async fn statement(database: &Database, text: &str) -> Result<(), DemoError> {
    database::execute(database, text).await.map_err(|e| refused("do as asked", e))
}

fn refused(what: &'static str, source: database::DatabaseError) -> DemoError {
    DemoError::Database { region: "the pair".to_owned(), what, source: Box::new(source) }
}

//! The file systems that the server and its agent live on: how much room they have, and how far the log may grow.
//!
//! A look asks for it seldom and says it each time, also of a server that is down: a full disk is a reason for that.

use super::PostgresDriver;
use super::look::LOOK_TIMEOUT;
use super::rescue::{SLOT, size};
use super::session::column;
use pilotlight_core::disk::{Hold, Log, of_log};
use pilotlight_core::outcome::Finding;
use pilotlight_core::plan::PostgresTls;
use pilotlight_core::time::Mono;
use pilotlight_driver::certificate::{self, Certificate, Kind};
use pilotlight_driver::disk::{self, Disks, Folders};
use pilotlight_driver::seldom::Seldom;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_postgres::SimpleQueryRow;

/// The server is asked as often as the file systems.
const EVERY: Duration = Duration::from_secs(10);

/// What was seen last.
#[derive(Default)]
pub(super) struct Seen {
    disks: Arc<Disks>,
    log: Mutex<Option<(Mono, Vec<Finding>)>>,
    certificates: Arc<Seldom>,
    /// What the server shows whoever dials it with TLS: known since it answered.
    shown: Mutex<Option<PathBuf>>,
}

/// One row without a name for the server's settings, in bytes, and one per slot.
const ASK: &str = "SELECT NULL AS name, NULL AS active, pg_size_bytes(current_setting('max_wal_size')) AS usual, \
    pg_size_bytes(current_setting('wal_keep_size')) AS kept, pg_size_bytes(current_setting('max_slot_wal_keep_size')) AS most, \
    NULL AS keeps, CASE WHEN current_setting('ssl')::bool THEN current_setting('ssl_cert_file') END AS shown \
    UNION ALL SELECT slot_name, active::text, NULL, NULL, NULL, (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - restart_lsn)::bigint, NULL \
    FROM pg_replication_slots WHERE restart_lsn IS NOT NULL";

/// Reads it; `ours` is how much the slot of the rescue may keep while an agent looks after it.
fn read(rows: &[SimpleQueryRow], takes: u64, ours: u64) -> Option<Log> {
    let bytes = |row, name| column(row, name).and_then(|b| b.parse::<i64>().ok());
    let positive = |n: i64| u64::try_from(n).unwrap_or_default();
    let settings = rows.iter().find(|row| column(row, "name").is_none())?;
    let most = bytes(settings, "most").and_then(|most| u64::try_from(most).ok());
    let hold = |row| {
        let name = column(row, "name")?.to_owned();
        let most = if name == SLOT { Some(most.map_or(ours, |most| most.min(ours))) } else { most };
        let keeps = bytes(row, "keeps").map(positive).unwrap_or_default();
        Some(Hold { read: column(row, "active") == Some("true"), keeps, most, name })
    };
    Some(Log {
        takes,
        usual: positive(bytes(settings, "usual")?),
        kept: positive(bytes(settings, "kept")?),
        holds: rows.iter().filter_map(hold).collect(),
    })
}

impl PostgresDriver {
    /// What a person should mend of it. `answers`: the server can be asked.
    pub(super) async fn of_room(&self, answers: bool) -> Vec<Finding> {
        let here = format!("{} in {}", self.component, self.region);
        let (data, rescue) = (self.own.data_dir.clone(), self.rescue_root());
        let mut found = self.room.disks.look(self.clock.mono(), &here, || folders(data, rescue)).await;
        if answers {
            found.extend(self.of_log(&here).await);
        }
        found.extend(self.of_certificates(&here).await);
        found
    }

    /// Those that the regions' servers show each other.
    async fn of_certificates(&self, here: &str) -> Vec<Finding> {
        let Some(tls) = self.plan.tls.clone() else { return Vec::new() };
        let shown = self.room.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (here, now) = (here.to_owned(), self.clock.wall());
        let ask = move || certificate::look(&here, &certificates(tls, shown), now);
        self.room.certificates.look(self.clock.mono(), certificate::EVERY, ask).await
    }

    async fn of_log(&self, here: &str) -> Vec<Finding> {
        let now = self.clock.mono();
        let known = self.room.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, found)) = known.filter(|(at, _)| now.since(*at) < EVERY) {
            return found;
        }
        let Ok(rows) = self.look.rows(ASK, LOOK_TIMEOUT / 4, true).await else { return Vec::new() };
        let shown = rows.iter().find_map(|row| column(row, "shown")).map(|file| self.own.data_dir.join(file));
        *self.room.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        let folder = self.own.data_dir.join("pg_wal");
        let log = read(&rows, size(&folder).unwrap_or_default(), self.plan.rescue.max_slot);
        let found = match (log, disk::free(&folder)) {
            (Some(log), Some(free)) => of_log(here, &log, free),
            _ => Vec::new(),
        };
        *self.room.log.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, found.clone()));
        found
    }
}

fn certificates(tls: PostgresTls, shown: Option<PathBuf>) -> Vec<Certificate> {
    let chain = |what| move |file| Certificate { what, file, kind: Kind::Chain };
    let trusted = Certificate { what: "the authority of the plan's `tls`", file: tls.ca, kind: Kind::Authorities };
    let own = shown.into_iter().map(chain("the server's certificate"));
    let client = tls.identity.into_iter().map(|identity| identity.certificate);
    own.chain(client.map(chain("the certificate of the plan's `tls`"))).chain([trusted]).collect()
}

/// Everything that a full file system would stop.
fn folders(data: PathBuf, rescue: PathBuf) -> Folders {
    let spaces = std::fs::read_dir(data.join("pg_tblspc")).into_iter().flatten().flatten();
    let spaces: Vec<PathBuf> = spaces.map(|space| space.path()).collect();
    let log = data.join("pg_wal");
    let mut folders = vec![("data directory", data), ("log", log), ("agent's folder with rescue bundles", rescue)];
    folders.extend(spaces.into_iter().map(|space| ("tablespace", space)));
    folders
}

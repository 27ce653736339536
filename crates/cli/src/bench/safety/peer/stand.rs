//! Where a peer stands: its places with a network each, a folder and an account for its processes.

use super::Product;
use crate::demo::DemoError;
use crate::wiring;
use nix::unistd::{User, chown};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::database::{self, Database};
use pilotlight_lab::folder::{self, Folder};
use pilotlight_lab::net::{Net, Place, Want};
use pilotlight_lab::region::{self, Child, Launch, Process};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PREFIX: &str = "pilotlight-peer-";
/// PostgreSQL does not run as root.
const ACCOUNT: &str = "postgres";
/// Each place has a network of its own, so every port is free.
pub(super) const PORT: u16 = 5432;
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);
/// Between two looks at a command.
const BEAT: Duration = Duration::from_millis(20);

/// Places, processes, and what is frozen of them. Dropping it ends every process and removes the folder.
pub(super) struct Stand {
    pub(super) net: Net,
    children: Vec<(Place, &'static str, Child)>,
    frozen: Vec<Process>,
    folder: Folder,
}

/// The account of a peer's processes, or why there is none.
pub(super) fn account() -> Result<User, String> {
    let found = User::from_name(ACCOUNT).ok().flatten();
    found.ok_or_else(|| format!("there is no account `{ACCOUNT}`; Debian's package postgresql-common makes it"))
}

/// The other region.
pub(super) fn other(region: Place) -> Place {
    if region == Place::East { Place::West } else { Place::East }
}

/// Ends what an earlier series left that died without cleaning up, and only that.
pub(in crate::bench::safety) fn sweep() {
    for left in folder::abandoned(PREFIX) {
        end_databases(&left);
        folder::remove(&left);
    }
}

/// Also gives back the shared memory of servers that were killed.
fn end_databases(folder: &Path) {
    for place in [Place::East, Place::West, Place::Third] {
        let data = data_in(folder, place);
        if data.exists() {
            wiring::lab::end_database(&data);
        }
    }
}

fn data_in(folder: &Path, place: Place) -> PathBuf {
    folder.join(place.name()).join("data")
}

impl Stand {
    /// Empty places.
    pub(super) fn make() -> Result<Self, DemoError> {
        let (net, _) = Net::make(Want::Spaces)?;
        let failed = |e| DemoError::at("the folder of a peer", e);
        let folder = Folder::create(PREFIX, false).map_err(failed)?;
        let account = account().map_err(DemoError::Ended)?;
        for place in [Place::East, Place::West, Place::Third] {
            let home = folder.subfolder(place.name()).map_err(failed)?;
            let theirs = chown(&home, Some(account.uid), Some(account.gid));
            theirs.map_err(|e| failed(std::io::Error::from(e)))?;
        }
        Ok(Self { net, children: Vec::new(), frozen: Vec::new(), folder })
    }

    /// Where processes of a place listen.
    pub(super) fn address(&self, place: Place) -> String {
        self.net.address(place).to_string()
    }

    /// The folder of a place; the account may write there.
    pub(super) fn home(&self, place: Place) -> PathBuf {
        self.folder.path().join(place.name())
    }

    /// The data directory of a place.
    pub(super) fn data(&self, place: Place) -> PathBuf {
        data_in(self.folder.path(), place)
    }

    /// The server of a place, as the lab sees it; everybody is trusted.
    pub(super) fn database(&self, place: Place) -> Database {
        Database { at: SocketAddr::new(self.net.address(place), PORT), password: String::new() }
    }

    /// Writes a file of configuration into a place's folder.
    pub(super) fn write(&self, place: Place, name: &str, text: &str) -> Result<String, DemoError> {
        let file = self.home(place).join(name);
        std::fs::write(&file, text).map_err(|e| DemoError::at(name, e))?;
        Ok(file.display().to_string())
    }

    /// Starts a process in a place, under the account.
    pub(super) fn launch(&mut self, place: Place, name: &'static str, argv: &[String]) -> Result<(), DemoError> {
        let child = self.start(place, name, argv)?;
        self.children.push((place, name, child));
        Ok(())
    }

    /// Runs a command in a place to its end, under the account.
    pub(super) async fn run(&self, place: Place, argv: &[String]) -> Result<(), DemoError> {
        let mut child = self.start(place, "command", argv)?;
        let end = SystemClock.mono() + PATIENCE;
        while SystemClock.mono() < end {
            match child.ended_well() {
                Some(true) => return Ok(()),
                Some(false) => break,
                None => tokio::time::sleep(BEAT).await,
            }
        }
        Err(DemoError::Ended(format!("`{}` failed in {}:\n{}", argv.join(" "), place.name(), child.log_tail(12))))
    }

    fn start(&self, place: Place, name: &str, argv: &[String]) -> Result<Child, DemoError> {
        let bin_dir = wiring::lab::bin_dir().map_err(|e| DemoError::Ended(e.to_string()))?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut words: Vec<String> =
            ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups"].map(str::to_owned).into();
        words.extend_from_slice(argv);
        let launch = Launch {
            folder: self.home(place),
            name: name.to_owned(),
            argv: words,
            env: vec![
                ("PATH".to_owned(), format!("{}:{path}", bin_dir.display())),
                ("HOME".to_owned(), self.home(place).display().to_string()),
                ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
            ],
            door: self.net.door(place),
        };
        launch.start().map_err(|e| DemoError::at(name, e))
    }

    /// Kills every process of a place with -9.
    pub(super) fn kill_place(&mut self, place: Place) {
        let home = self.home(place);
        // All in one moment, then whatever was being started in that instant.
        region::processes(&home).iter().for_each(|process| region::kill_pid(process.pid));
        region::kill_all(&home, Duration::from_secs(5));
        self.children.retain(|(of, ..)| *of != place);
        wiring::lab::end_database(&self.data(place));
        // Its number may belong to a process again; after a real boot nobody would take that for the server.
        let _ = std::fs::remove_file(self.data(place).join("postmaster.pid"));
    }

    /// Kills PostgreSQL's first process in a place with -9 and nothing else.
    pub(super) fn kill_postmaster(&self, place: Place) -> Result<(), DemoError> {
        let text = std::fs::read_to_string(self.data(place).join("postmaster.pid"));
        let text = text.map_err(|e| DemoError::at("postmaster.pid", e))?;
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        region::kill_pid(pid.ok_or_else(|| DemoError::Ended("no process id in postmaster.pid".to_owned()))?);
        Ok(())
    }

    /// Freezes processes of a place until [`Stand::thaw`].
    pub(super) fn freeze(&mut self, place: Place, wanted: impl Fn(&Process) -> bool) -> usize {
        let frozen = region::freeze(&self.home(place), wanted);
        let count = frozen.len();
        self.frozen.extend(frozen);
        count
    }

    /// What is frozen goes on.
    pub(super) fn thaw(&mut self) {
        region::thaw(&std::mem::take(&mut self.frozen));
    }

    /// Whether the server of a place accepts writes.
    pub(super) async fn writes(&self, place: Place) -> Result<bool, String> {
        let asked = database::column(&self.database(place), "select pg_is_in_recovery()::text").await;
        asked.map(|answer| answer.first().is_some_and(|is| is == "false")).map_err(|e| format!("{}: {e}", place.name()))
    }

    /// Waits until one region is the writer, whichever, and the other follows it. Answers which.
    pub(super) async fn settled(&self, product: &dyn Product) -> Result<Place, DemoError> {
        let end = SystemClock.mono() + PATIENCE;
        loop {
            let seen = match self.is_settled(product).await {
                Ok(writer) => return Ok(writer),
                Err(seen) => seen,
            };
            if SystemClock.mono() > end {
                let what = "the peer's pair to settle".to_owned();
                return Err(DemoError::Waited { what, seconds: PATIENCE.as_secs(), seen });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn is_settled(&self, product: &dyn Product) -> Result<Place, String> {
        let writer = match (self.writes(Place::East).await?, self.writes(Place::West).await?) {
            (true, false) => Place::East,
            (false, true) => Place::West,
            (true, true) => return Err("both accept writes".to_owned()),
            (false, false) => return Err("nobody accepts writes".to_owned()),
        };
        let follows = format!(
            "select application_name::text from pg_stat_replication where state = 'streaming' \
             and replay_lsn = pg_current_wal_lsn() and client_addr = '{}'",
            self.address(other(writer))
        );
        let seen = database::column(&self.database(writer), &follows).await.map_err(|e| e.to_string())?;
        if seen.is_empty() {
            return Err(format!("{} does not follow {}", other(writer).name(), writer.name()));
        }
        product.is_well(self, writer).await.map(|()| writer)
    }

    /// The last lines of every log.
    pub(super) fn logs(&self) -> String {
        let mut all = String::new();
        for (place, name, _) in &self.children {
            let log = self.home(*place).join(format!("{name}.log"));
            all.push_str(&format!("--- {}, {name}\n{}\n", place.name(), region::tail(&log, 15)));
        }
        all
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.thaw();
        // Agents first: one that lives would start its server again.
        self.children.clear();
        end_databases(self.folder.path());
        let left = self.folder.close();
        if !left.is_empty() {
            eprintln!("left of a peer: {left:?}");
        }
    }
}

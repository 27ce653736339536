//! repmgr with its daemon on each database, and a witness in the third place.

use super::stand::{self, Stand};
use super::{DemoError, Place, Process, Product};
use crate::wiring;
use async_trait::async_trait;
use pilotlight_lab::database;
use std::path::Path;
use std::time::Duration;

/// The shortest times that make sense of it; it names no bounds. One location: with one for each region it promotes
/// nobody unless it sees another node of the primary's.
const FAST: &str = "monitor_interval_secs=1\nreconnect_attempts=3\nreconnect_interval=1\n\
                    primary_visibility_consensus=true\n";
const SERVER: &str = "listen_addresses = '*'\nunix_socket_directories = ''\nshared_preload_libraries = 'repmgr'\n\
                      shared_buffers = '64MB'\nmax_connections = 50\nwal_level = replica\nwal_log_hints = on\n\
                      max_wal_senders = 10\nmax_replication_slots = 10\nhot_standby = on\n";
const ACCESS: &str = "local all all trust\nhost all all samenet trust\nhost all all 127.0.0.0/8 trust\nhost replication all samenet trust\n";
const NODES: [Place; 3] = [Place::East, Place::West, Place::Third];

/// In its fast setting.
pub(super) struct Repmgr;

fn number(place: Place) -> u8 {
    match place {
        Place::East => 1,
        Place::West => 2,
        Place::Third | Place::Clients => 3,
    }
}

/// Its file of configuration for a node.
fn configuration(place: Place, address: &str, home: &Path, bin_dir: &Path) -> String {
    let (number, name, home, bin) = (number(place), place.name(), home.display(), bin_dir.display());
    format!(
        "node_id={number}\nnode_name='{name}'\n\
         conninfo='host={address} user=repmgr dbname=postgres connect_timeout=2'\n\
         data_directory='{home}/data'\npg_bindir='{bin}'\nfailover='automatic'\n\
         promote_command='{bin}/repmgr standby promote -f {home}/repmgr.conf --log-to-file'\n\
         follow_command='{bin}/repmgr standby follow -f {home}/repmgr.conf --log-to-file --upstream-node-id=%n'\n\
         log_file='{home}/repmgrd-own.log'\n{FAST}"
    )
}

/// What the writer's list of nodes says: each in its part, both databases active.
fn is_well(nodes: &[String], writer: u8) -> Result<(), String> {
    let standby = 3 - writer;
    // The witness's recorded upstream may lag behind.
    let wanted = [format!("{writer} primary true 0"), format!("{standby} standby true {writer}")];
    let witness = nodes.iter().any(|node| node.starts_with("3 witness true"));
    let well = witness && wanted.iter().all(|node| nodes.contains(node));
    if well { Ok(()) } else { Err(format!("repmgr sees {}", nodes.join("; "))) }
}

async fn tool(stand: &Stand, place: Place, program: &str, words: &[&str]) -> Result<(), DemoError> {
    let bin_dir = wiring::lab::bin_dir().map_err(|e| DemoError::Ended(e.to_string()))?;
    let mut argv = vec![bin_dir.join(program).display().to_string()];
    argv.extend(words.iter().map(|word| (*word).to_owned()));
    stand.run(place, &argv).await
}

async fn repmgr(stand: &Stand, place: Place, words: &[&str]) -> Result<(), DemoError> {
    let file = stand.home(place).join("repmgr.conf").display().to_string();
    tool(stand, place, "repmgr", &[&["-f", file.as_str()], words].concat()).await
}

async fn start_server(stand: &Stand, place: Place) -> Result<(), DemoError> {
    let log = stand.home(place).join("server.log").display().to_string();
    tool(stand, place, "pg_ctl", &["-D", "data", "-w", "-l", &log, "start"]).await
}

async fn statement(stand: &Stand, place: Place, text: &str) -> Result<(), DemoError> {
    let done = database::execute(&stand.database(place), text).await;
    done.map_err(|e| DemoError::Ended(format!("{}: {e}", place.name())))
}

/// An empty server with the account of the tool.
async fn make_server(stand: &Stand, place: Place) -> Result<(), DemoError> {
    tool(stand, place, "initdb", &["-D", "data", "-A", "trust", "-U", "postgres", "--no-sync"]).await?;
    let file = stand.data(place).join("postgresql.conf");
    let text = std::fs::read_to_string(&file).map_err(|e| DemoError::at("postgresql.conf", e))?;
    stand.write(place, "data/postgresql.conf", &format!("{text}{SERVER}"))?;
    stand.write(place, "data/pg_hba.conf", ACCESS)?;
    start_server(stand, place).await?;
    statement(stand, place, "create role repmgr superuser login replication").await
}

/// A copy of the other region's server, registered.
async fn make_copy(stand: &Stand, place: Place) -> Result<(), DemoError> {
    let of = stand.address(stand::other(place));
    // Not left to it: right after a promotion it takes the lost node, and the copy would follow itself.
    let upstream = format!("--upstream-node-id={}", number(stand::other(place)));
    let from = ["-h", of.as_str(), "-U", "repmgr", "-d", "postgres", "--force", "--fast-checkpoint", &upstream];
    repmgr(stand, place, &[&["standby", "clone"], from.as_slice()].concat()).await?;
    start_server(stand, place).await?;
    repmgr(stand, place, &["standby", "register", "--force", &upstream]).await
}

fn start_agent(stand: &mut Stand, place: Place) -> Result<(), DemoError> {
    let bin_dir = wiring::lab::bin_dir().map_err(|e| DemoError::Ended(e.to_string()))?;
    let file = stand.home(place).join("repmgr.conf").display().to_string();
    let program = bin_dir.join("repmgrd").display().to_string();
    let flags = ["--daemonize=false", "--no-pid-file"].map(str::to_owned);
    let argv: Vec<String> = [program, "-f".to_owned(), file].into_iter().chain(flags).collect();
    stand.launch(place, "repmgrd", &argv)
}

#[async_trait]
impl Product for Repmgr {
    async fn open(&self, stand: &mut Stand) -> Result<(), DemoError> {
        let bin_dir = wiring::lab::bin_dir().map_err(|e| DemoError::Ended(e.to_string()))?;
        for place in NODES {
            let text = configuration(place, &stand.address(place), &stand.home(place), &bin_dir);
            stand.write(place, "repmgr.conf", &text)?;
        }
        make_server(stand, Place::East).await?;
        repmgr(stand, Place::East, &["primary", "register"]).await?;
        make_copy(stand, Place::West).await?;
        make_server(stand, Place::Third).await?;
        let east = stand.address(Place::East);
        repmgr(stand, Place::Third, &["witness", "register", "-h", &east, "-U", "repmgr", "-d", "postgres"]).await?;
        NODES.into_iter().try_for_each(|place| start_agent(stand, place))
    }

    /// Nothing: a server that was lost stays where it is until its operator clones it.
    async fn boot(&self, _stand: &mut Stand, _place: Place) -> Result<(), DemoError> {
        Ok(())
    }

    async fn mend(&self, stand: &mut Stand, old: Place) -> Result<(), DemoError> {
        if stand.writes(stand::other(old)).await != Ok(true) {
            return Ok(());
        }
        stand.kill_place(old);
        make_copy(stand, old).await?;
        start_agent(stand, old)
    }

    async fn is_well(&self, stand: &Stand, writer: Place) -> Result<(), String> {
        let nodes =
            "select concat_ws(' ', node_id, type, active::text, coalesce(upstream_node_id, 0)) from repmgr.nodes";
        let nodes = database::column(&stand.database(writer), nodes).await.map_err(|e| e.to_string())?;
        is_well(&nodes, number(writer))?;
        for place in NODES {
            let runs = "select repmgr.repmgrd_is_running()::text";
            let runs = database::column(&stand.database(place), runs).await.map_err(|e| e.to_string())?;
            if runs.first().is_none_or(|runs| runs != "true") {
                return Err(format!("repmgrd does not run in {}", place.name()));
            }
        }
        Ok(())
    }

    async fn switchover(&self, _stand: &Stand, _from: Place, _to: Place) -> Result<(), DemoError> {
        Err(DemoError::Ended("a switchover of repmgr needs ssh between the hosts of the databases".to_owned()))
    }

    fn is_agent(&self, process: &Process) -> bool {
        process.words.first().is_some_and(|program| program.ends_with("/repmgrd"))
    }

    fn hold(&self) -> Duration {
        // Thrice its three tries and what follows them.
        Duration::from_secs(15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_it_names_its_node_and_its_fast_setting() {
        let text = configuration(Place::West, "10.213.7.2", Path::new("/lab/west"), Path::new("/pg/bin"));
        assert!(text.starts_with("node_id=2\nnode_name='west'\nconninfo='host=10.213.7.2 "), "{text}");
        assert!(text.contains("data_directory='/lab/west/data'\n"), "{text}");
        assert!(text.contains("\npromote_command='/pg/bin/repmgr standby promote -f /lab/west/repmgr.conf "), "{text}");
        assert!(text.ends_with(FAST) && text.lines().all(|line| line.contains('=')), "{text}");
    }

    #[test]
    fn it_is_well_when_each_node_has_its_part() {
        let seen =
            |nodes: &[&str], writer| is_well(&nodes.iter().map(|node| (*node).to_owned()).collect::<Vec<_>>(), writer);
        let well = ["1 primary true 0", "2 standby true 1", "3 witness true 1"];
        assert_eq!(seen(&well, 1), Ok(()));
        assert!(seen(&well, 2).is_err(), "another writer");
        assert_eq!(seen(&["1 standby true 2", "2 primary true 0", "3 witness true 1"], 2), Ok(()));
        assert!(seen(&["1 primary false 0", "2 primary true 0", "3 witness true 1"], 2).is_err(), "a lost node");
        assert!(seen(&well[..2], 1).is_err(), "no witness");
    }
}

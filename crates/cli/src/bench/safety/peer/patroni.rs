//! Patroni on three members of etcd, one in each place.

use super::stand::{PORT, Stand};
use super::{DemoError, Place, Process, Product};
use crate::wiring;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::time::Duration;

const MEMBERS: [Place; 3] = [Place::East, Place::West, Place::Third];
const SCOPE: &str = "bench";

/// In the setting with the shortest times that its validator admits.
pub(super) struct Patroni {
    pub(super) synchronous: bool,
}

/// Where things are, for a file of configuration.
struct Site<'a> {
    name: &'a str,
    address: &'a str,
    /// Of etcd, with ports.
    stores: &'a str,
    home: &'a str,
    data: &'a str,
    bin_dir: &'a str,
}

impl Patroni {
    /// JSON is YAML, too.
    fn configuration(&self, site: &Site<'_>) -> Value {
        let Site { name, address, stores, home, data, bin_dir } = site;
        let account = |username: &str| json!({ "username": username, "password": "not asked for" });
        json!({
            "scope": SCOPE,
            "name": name,
            "etcd3": { "hosts": stores },
            "restapi": { "listen": format!("{address}:8008"), "connect_address": format!("{address}:8008") },
            "bootstrap": {
                "dcs": {
                    "ttl": 20,
                    "loop_wait": 1,
                    "retry_timeout": 3,
                    "maximum_lag_on_failover": 1_048_576,
                    // A death of PostgreSQL is a failover, not a restart in place.
                    "primary_start_timeout": 0,
                    "synchronous_mode": self.synchronous,
                    "postgresql": { "use_pg_rewind": true, "use_slots": true, "parameters": {
                        "shared_buffers": "64MB", "max_connections": "50", "wal_level": "replica", "wal_log_hints": "on",
                        "max_wal_senders": "10", "max_replication_slots": "10", "hot_standby": "on",
                    } },
                },
                "initdb": [{ "auth": "trust" }, { "encoding": "UTF8" }],
            },
            "postgresql": {
                "listen": format!("{address}:{PORT}"),
                "connect_address": format!("{address}:{PORT}"),
                "data_dir": data,
                "bin_dir": bin_dir,
                "pgpass": format!("{home}/pgpass"),
                "authentication": {
                    "superuser": account("postgres"), "replication": account("replicator"), "rewind": account("rewinder"),
                },
                "pg_hba": ["local all all trust", "host all all samenet trust", "host replication all samenet trust"],
                "parameters": { "unix_socket_directories": home },
            },
            // Its default: without a watchdog device it runs without.
            "watchdog": { "mode": "automatic" },
        })
    }

    fn start_member(stand: &mut Stand, place: Place) -> Result<(), DemoError> {
        let url = |at: Place, port: u16| format!("http://{}:{port}", stand.address(at));
        let cluster = MEMBERS.map(|at| format!("{}={}", at.name(), url(at, 2380))).join(",");
        let arguments = [
            ("--name", place.name().to_owned()),
            ("--data-dir", "etcd".to_owned()),
            ("--listen-client-urls", url(place, 2379)),
            ("--advertise-client-urls", url(place, 2379)),
            ("--listen-peer-urls", url(place, 2380)),
            ("--initial-advertise-peer-urls", url(place, 2380)),
            ("--initial-cluster", cluster),
            // The default of newer releases: a member that was cut off does not upset the others.
            ("--pre-vote", "true".to_owned()),
        ];
        let flat = arguments.into_iter().map(|(key, value)| format!("{key}={value}"));
        let argv: Vec<String> = std::iter::once("etcd".to_owned()).chain(flat).collect();
        stand.launch(place, "etcd", &argv)
    }

    fn start_agent(&self, stand: &mut Stand, place: Place) -> Result<(), DemoError> {
        let bin_dir = wiring::lab::bin_dir().map_err(|e| DemoError::Ended(e.to_string()))?;
        let stores = MEMBERS.map(|at| format!("{}:2379", stand.address(at))).join(",");
        let site = Site {
            name: place.name(),
            address: &stand.address(place),
            stores: &stores,
            home: &stand.home(place).display().to_string(),
            data: &stand.data(place).display().to_string(),
            bin_dir: &bin_dir.display().to_string(),
        };
        let file = stand.write(place, "patroni.yml", &self.configuration(&site).to_string())?;
        stand.launch(place, "patroni", &["patroni".to_owned(), file])
    }
}

#[async_trait]
impl Product for Patroni {
    async fn open(&self, stand: &mut Stand) -> Result<(), DemoError> {
        MEMBERS.into_iter().try_for_each(|place| Self::start_member(stand, place))?;
        self.start_agent(stand, Place::East)?;
        self.start_agent(stand, Place::West)
    }

    async fn boot(&self, stand: &mut Stand, place: Place) -> Result<(), DemoError> {
        Self::start_member(stand, place)?;
        self.start_agent(stand, place)
    }

    async fn is_well(&self, stand: &Stand, writer: Place) -> Result<(), String> {
        let answer = client()?.get(format!("http://{}:8008/cluster", stand.address(writer))).send().await;
        let view = answer.map_err(|e| e.to_string())?.json().await.map_err(|e| e.to_string())?;
        is_well(&view, writer.name(), self.synchronous)
    }

    async fn switchover(&self, stand: &Stand, from: Place, to: Place) -> Result<(), DemoError> {
        let url = format!("http://{}:8008/switchover", stand.address(from));
        let asked = json!({ "leader": from.name(), "candidate": to.name() });
        let answer = client().map_err(DemoError::Ended)?.post(url).json(&asked).send().await;
        let answer = answer.map_err(|e| DemoError::Ended(format!("patroni's switchover: {e}")))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        Err(DemoError::Ended(format!("patroni's switchover: {status} {text}")))
    }

    fn is_agent(&self, process: &Process) -> bool {
        process.words.iter().take(3).any(|word| word.ends_with("/patroni"))
    }

    fn hold(&self) -> Duration {
        // Its ttl, and half of that again.
        Duration::from_secs(30)
    }
}

fn client() -> Result<reqwest::Client, String> {
    let made = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
    made.map_err(|e| e.to_string())
}

/// What `/cluster` says: two members, the leader is the writer, the other one follows on the same timeline.
fn is_well(view: &Value, writer: &str, synchronous: bool) -> Result<(), String> {
    let members = view["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (leaders, others): (Vec<_>, Vec<_>) = members.iter().partition(|member| member["role"] == "leader");
    let ([leader], [follower]) = (leaders.as_slice(), others.as_slice()) else {
        return Err(format!("patroni does not see a leader and a member beside it: {view}"));
    };
    let role = if synchronous { "sync_standby" } else { "replica" };
    let well = leader["name"] == writer
        && leader["state"] == "running"
        && follower["role"] == role
        && (follower["state"] == "running" || follower["state"] == "streaming")
        && leader["timeline"] == follower["timeline"];
    if well { Ok(()) } else { Err(format!("patroni sees {view}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_it_is_its_fast_setting() {
        let site = Site {
            name: "east",
            address: "10.213.7.1",
            stores: "10.213.7.1:2379,10.213.7.2:2379,10.213.7.3:2379",
            home: "/lab/east",
            data: "/lab/east/data",
            bin_dir: "/pg/bin",
        };
        let plain = Patroni { synchronous: false }.configuration(&site);
        let dcs = &plain["bootstrap"]["dcs"];
        assert_eq!((&dcs["ttl"], &dcs["loop_wait"], &dcs["retry_timeout"]), (&json!(20), &json!(1), &json!(3)));
        assert_eq!(dcs["synchronous_mode"], false);
        assert_eq!(plain["postgresql"]["listen"], "10.213.7.1:5432");
        assert_eq!(plain["postgresql"]["data_dir"], "/lab/east/data");
        assert_eq!(plain["etcd3"]["hosts"].as_str().map(|hosts| hosts.split(',').count()), Some(3));
        assert_eq!(Patroni { synchronous: true }.configuration(&site)["bootstrap"]["dcs"]["synchronous_mode"], true);
    }

    #[test]
    fn it_is_well_with_a_leader_and_a_follower_on_its_timeline() {
        let view = |role: &str, timeline: u32| {
            json!({ "members": [
                { "name": "east", "role": "leader", "state": "running", "timeline": 3 },
                { "name": "west", "role": role, "state": "running", "timeline": timeline, "lag": 0 },
            ] })
        };
        assert_eq!(is_well(&view("replica", 3), "east", false), Ok(()));
        assert_eq!(is_well(&view("sync_standby", 3), "east", true), Ok(()));
        assert!(is_well(&view("replica", 3), "east", true).is_err(), "not yet synchronous");
        assert!(is_well(&view("replica", 2), "east", false).is_err(), "an old timeline");
        assert!(is_well(&view("replica", 3), "west", false).is_err(), "another leader");
        assert!(is_well(&json!({ "members": [] }), "east", false).is_err(), "nobody");
    }

    #[test]
    fn its_agent_is_told_from_its_server_and_its_store() {
        let process = |words: &[&str]| Process {
            pid: 1,
            name: String::new(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let patroni = Patroni { synchronous: false };
        assert!(patroni.is_agent(&process(&["/usr/bin/python3", "/usr/bin/patroni", "/lab/east/patroni.yml"])));
        assert!(!patroni.is_agent(&process(&["/pg/bin/postgres", "-D", "/lab/east/data", "--cluster_name=bench"])));
        assert!(!patroni.is_agent(&process(&["etcd", "--name=east"])));
    }
}

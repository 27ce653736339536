//! The other servers: how a standby connects to one, and what has to be known of it before following it.

use super::PostgresDriver;
use super::lsn::{History, Lsn, Place};
use super::session::{PINNED, Session, SqlError, column};
use pilotlight_core::id::{Epoch, Region};
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::{Identity, PostgresPlan, PostgresServer};
use std::path::Path;
use std::time::Duration;
use tokio_postgres::Config;

/// A look at a peer, over a network.
pub(super) const PEER_TIMEOUT: Duration = Duration::from_secs(3);

/// The one kind of TLS that knows whom it talks to.
const VERIFIED: &str = "verify-full";

/// What a peer is, as far as a standby of it must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upstream {
    /// Its end.
    pub(super) end: Place,
    /// The timelines before its own.
    pub(super) history: History,
    /// The oldest WAL it still has.
    pub(super) oldest: Lsn,
    /// Bytes of a segment of its log.
    pub(super) segment_bytes: u64,
    /// Bytes of all its databases.
    pub(super) bytes: u64,
}

impl Upstream {
    /// Its timelines, oldest first: where it left each, and where it is on the last.
    pub(super) fn timelines(&self) -> impl Iterator<Item = (u32, Lsn)> {
        self.history.0.iter().copied().chain([(self.end.timeline, self.end.lsn)])
    }
}

/// How this driver connects to a server for administration.
pub(super) fn config(plan: &PostgresPlan, host: &str, port: u16, password: Option<&str>) -> Config {
    let mut config = Config::new();
    config.host(host).port(port).user(&plan.user).dbname(&plan.database).application_name("pilotlight");
    // A server that is made read-only by default must still take sentinels; a lock must not hold up a failover.
    config.options(format!(
        "{PINNED} -c default_transaction_read_only=off -c synchronous_commit=local -c lock_timeout=900 -c client_min_messages=error"
    ));
    if let Some(password) = password {
        config.password(password);
    }
    config
}

/// How a standby connects to its upstream. A silent link is noticed within seconds: by the receiver's own timeout, and
/// by TCP where PostgreSQL waits for an answer.
pub(super) fn conninfo(plan: &PostgresPlan, server: &PostgresServer, name: &str, password: Option<&str>) -> String {
    let mut text = way_to(plan, server);
    if let Some(password) = password {
        text.push_str(&format!(" password={}", quote(password)));
    }
    text.push_str(&format!(" application_name={} keepalives_idle=2", quote(name)));
    text.push_str(" keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000");
    text
}

/// Where a server is and as whom to connect.
pub(super) fn way_to(plan: &PostgresPlan, server: &PostgresServer) -> String {
    let way = format!("host={} port={} user={} connect_timeout=2", quote(&server.host), server.port, quote(&plan.user));
    let Some(tls) = &plan.tls else { return way };
    let file = |path: &Path| quote(&path.display().to_string());
    let way = format!("{way} sslmode={VERIFIED} sslrootcert={}", file(&tls.ca));
    match &tls.identity {
        Some(Identity { certificate, key }) => format!("{way} sslcert={} sslkey={}", file(certificate), file(key)),
        None => way,
    }
}

/// Whether a `primary_conninfo` has the TLS that the plan wants; where it wants none, what others set is left alone.
pub(super) fn is_wrapped(plan: &PostgresPlan, conninfo: &str) -> bool {
    let Some(tls) = &plan.tls else { return true };
    let has = |name, wanted: &str| value_of(conninfo, name).as_deref() == Some(wanted);
    let file = |path: &Path| path.display().to_string();
    let shows = |i: &Identity| has("sslcert", &file(&i.certificate)) && has("sslkey", &file(&i.key));
    has("sslmode", VERIFIED) && has("sslrootcert", &file(&tls.ca)) && tls.identity.as_ref().is_none_or(shows)
}

/// A value as libpq reads it.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A value of a `primary_conninfo`.
pub(super) fn value_of(conninfo: &str, name: &str) -> Option<String> {
    let mut rest = conninfo.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quoted = after.starts_with('\'');
        let mut value = String::new();
        let mut end = after.len();
        let mut chars = after.char_indices().skip(usize::from(quoted));
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                '\'' if quoted => {
                    end = at + 1;
                    break;
                }
                c if !quoted && c.is_whitespace() => {
                    end = at;
                    break;
                }
                c => value.push(c),
            }
        }
        if key.trim() == name {
            return Some(value);
        }
        rest = after[end..].trim_start();
    }
    None
}

impl PostgresDriver {
    /// Host and port of a peer as the plan names them.
    pub(super) fn peer(&self, region: &Region) -> Result<&PostgresServer, Failure> {
        if region == &self.region {
            return Err(Failure::rejected(format!("{} in {region} cannot follow itself", self.component)));
        }
        self.plan
            .regions
            .get(region)
            .ok_or_else(|| Failure::rejected(format!("the plan has no server of {} in {region}", self.component)))
    }

    /// The name under which this server's receiver appears at its upstream; where writers wait, one never used before.
    pub(super) fn receiver_name(&self, epoch: Epoch) -> String {
        if self.confirmed.waits {
            return super::waits::new_name(epoch, self.component.as_str(), self.region.as_str());
        }
        format!("{}_{}", self.component, self.region).chars().take(63).collect()
    }

    /// A connection to a peer; dropped after use, since peers are asked rarely.
    pub(super) fn session_of(&self, server: &PostgresServer) -> Session {
        self.away(config(&self.plan, &server.host, server.port, self.password.as_deref()))
    }

    /// The same without TLS: what answers only there and not as the plan has it must not pass for nobody.
    pub(super) fn plainly(&self, server: &PostgresServer) -> Session {
        Session::new(config(&self.plan, &server.host, server.port, self.password.as_deref()))
    }

    /// A session to a server elsewhere.
    pub(super) fn away(&self, config: Config) -> Session {
        Session::away(config, self.plan.tls.as_ref())
    }

    /// The region whose server a `primary_conninfo` names.
    pub(super) fn region_of(&self, host: &str, port: &str) -> Option<Region> {
        let is_it = |s: &PostgresServer| s.host == host && s.port.to_string() == port;
        self.plan.regions.iter().find(|(_, s)| is_it(s)).map(|(region, _)| region.clone())
    }

    /// Looks at a peer that is to be followed; it must be a writer.
    pub(super) async fn look_upstream(&self, region: &Region) -> Result<Upstream, Failure> {
        let session = self.session_of(self.peer(region)?);
        let what = format!("{} in {region} cannot be asked what to follow", self.component);
        let reading = "SELECT pg_is_in_recovery() AS recovering";
        let row = session.rows(reading, PEER_TIMEOUT, true).await.map_err(|e| unreachable(&what, &e))?;
        if row.first().and_then(|r| column(r, "recovering")) != Some("f") {
            return Err(Failure::transient(format!(
                "{} in {region} is not a writer, nothing to follow",
                self.component
            )));
        }
        let row = session.rows(UPSTREAM, PEER_TIMEOUT, true).await.map_err(|e| unreachable(&what, &e))?;
        let odd = || Failure::transient(format!("{what}: its answer is not understood"));
        let row = row.first().ok_or_else(odd)?;
        let timeline =
            column(row, "segment").and_then(|s| u32::from_str_radix(s.get(..8)?, 16).ok()).ok_or_else(odd)?;
        let segment_bytes: u64 = column(row, "segment_bytes").and_then(|b| b.parse().ok()).ok_or_else(odd)?;
        let oldest =
            column(row, "oldest").and_then(|o| super::directory::segment(&format!("00000001{o}"), segment_bytes));
        let history = match timeline {
            1 => History::default(),
            _ => {
                let sql = format!("SELECT pg_read_file('pg_wal/{timeline:08X}.history') AS history");
                let rows = session.rows(&sql, PEER_TIMEOUT, true).await.map_err(|e| unreachable(&what, &e))?;
                History::read(rows.first().and_then(|r| column(r, "history")).unwrap_or_default())
            }
        };
        Ok(Upstream {
            end: Place {
                system: column(row, "system").ok_or_else(odd)?.to_owned(),
                timeline,
                lsn: column(row, "lsn").and_then(|l| l.parse().ok()).ok_or_else(odd)?,
                begun: history.begun(),
            },
            history,
            oldest: Lsn(oldest.map_or(0, |(_, number)| number * segment_bytes)),
            segment_bytes,
            bytes: column(row, "bytes").and_then(|b| b.parse().ok()).unwrap_or(0),
        })
    }
}

const UPSTREAM: &str = "SELECT (SELECT system_identifier FROM pg_control_system()) AS system, \
    pg_current_wal_lsn() AS lsn, pg_walfile_name(pg_current_wal_lsn()) AS segment, \
    (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') AS segment_bytes, \
    (SELECT min(substr(name, 9)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$') AS oldest, \
    (SELECT sum(pg_database_size(oid)) FROM pg_database) AS bytes";

fn unreachable(what: &str, error: &SqlError) -> Failure {
    Failure::transient(format!("{what}: {error}"))
}

/// A plan without servers, to be changed.
#[cfg(test)]
pub(super) fn plan_of_nobody() -> PostgresPlan {
    PostgresPlan {
        database: "postgres".to_owned(),
        user: "postgres".to_owned(),
        password: None,
        tls: None,
        sentinel: Duration::ZERO,
        rescue: Default::default(),
        connection_fence: Default::default(),
        rebuild: Default::default(),
        rejoin_within: Duration::from_secs(3_600),
        regions: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::PostgresTls;

    #[test]
    fn a_conninfo_is_read_as_it_was_written() {
        let plan = PostgresPlan { user: "o'brien".to_owned(), ..plan_of_nobody() };
        let server = PostgresServer {
            host: "db.east".to_owned(),
            port: 5433,
            data_dir: "/d".into(),
            bin_dir: None,
            run_as: None,
            proxy: None,
        };
        let text = conninfo(&plan, &server, "db_west", Some("a b\\'c"));
        for (name, value) in [
            ("host", "db.east"),
            ("port", "5433"),
            ("user", "o'brien"),
            ("password", "a b\\'c"),
            ("application_name", "db_west"),
        ] {
            assert_eq!(value_of(&text, name).as_deref(), Some(value), "{name} in {text}");
        }
        assert_eq!(value_of(&text, "sslmode"), None);
        assert!(is_wrapped(&plan, &text), "nothing is asked for");
        let (ca, certificate, key) = ("/etc/it's ca.pem".into(), "/etc/c.pem".into(), "/etc/k.pem".into());
        let tls = Some(PostgresTls { ca, identity: Some(Identity { certificate, key }) });
        let wrapped = PostgresPlan { tls, ..plan.clone() };
        assert!(!is_wrapped(&wrapped, &text));
        let text = conninfo(&wrapped, &server, "db_west", None);
        assert!(is_wrapped(&wrapped, &text) && is_wrapped(&plan, &text), "{text}");
        for (name, value) in [("sslmode", "verify-full"), ("sslrootcert", "/etc/it's ca.pem"), ("sslkey", "/etc/k.pem")]
        {
            assert_eq!(value_of(&text, name).as_deref(), Some(value), "{name} in {text}");
        }
        assert_eq!(value_of(&text, "application_name").as_deref(), Some("db_west"));
        let bare = PostgresPlan { tls: Some(PostgresTls { ca: "/other".into(), identity: None }), ..plan };
        assert!(!is_wrapped(&bare, &text), "another authority");
        assert_eq!(value_of("host = a  port=1", "port").as_deref(), Some("1"));
        assert_eq!(value_of("", "host"), None);
    }
}

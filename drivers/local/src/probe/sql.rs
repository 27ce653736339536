//! SQL statements as probes, on PostgreSQL's protocol without TLS.

use super::Names;
use pilotlight_core::cause::chain;
use pilotlight_core::outcome::Failure;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

pub(super) async fn ask(names: &dyn Names, dsn: &str, query: &str, expect: Option<&str>) -> Result<String, Failure> {
    let mut config: Config = dsn.parse().map_err(|e| Failure::rejected(format!("not a data source: {}", chain(&e))))?;
    resolve(names, &mut config).await?;
    let (client, connection) =
        config.connect(NoTls).await.map_err(|e| Failure::unreachable(format!("cannot connect: {}", chain(&e))))?;
    // Both are driven here, so that a probe that is given up leaves no task behind.
    tokio::select! {
        answer = client.simple_query(query) => {
            let messages = answer.map_err(|e| Failure::transient(format!("the statement failed: {}", chain(&e))))?;
            judge(&messages, expect)
        }
        ended = connection => Err(match ended {
            Ok(()) => Failure::unreachable("the server ended the connection"),
            Err(e) => Failure::unreachable(format!("the connection broke: {}", chain(&e))),
        }),
    }
}

fn judge(messages: &[SimpleQueryMessage], expect: Option<&str>) -> Result<String, Failure> {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let Some(row) = row else { return Err(Failure::transient("returned no row, expected at least one")) };
    let got = if row.is_empty() { None } else { row.get(0) };
    match expect {
        Some(expected) if got != Some(expected) => Err(Failure::transient(format!(
            "returned {}, expected {expected:?}",
            got.map_or("null".to_owned(), |got| format!("{got:?}"))
        ))),
        _ => Ok(format!("returned {}", got.map_or("a row".to_owned(), |got| format!("{got:?}")))),
    }
}

/// Asks our names for the hosts. An address beside each name keeps the client from asking the system.
async fn resolve(names: &dyn Names, config: &mut Config) -> Result<(), Failure> {
    if !config.get_hostaddrs().is_empty() {
        return Ok(());
    }
    let mut found = Vec::new();
    for host in config.get_hosts() {
        let Host::Tcp(host) = host else { return Ok(()) };
        found.push(match host.parse() {
            Ok(address) => address,
            Err(_) => {
                let every = names.resolve(host).await?;
                *every.first().ok_or_else(|| Failure::unreachable(format!("{host} has no address")))?
            }
        });
    }
    for address in found {
        config.hostaddr(address);
    }
    Ok(())
}

/// The data source as it may be shown.
pub(super) fn without_password(dsn: &str) -> String {
    let Ok(config) = dsn.parse::<Config>() else { return "a data source that cannot be read".to_owned() };
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(i, host)| {
            let ports = config.get_ports();
            let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}:{port}", path.display()),
            }
        })
        .collect();
    format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

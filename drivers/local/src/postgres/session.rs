//! One connection to a server, kept and made anew when it breaks; every call ends within its time.
//!
//! Statements go by the simple protocol: nothing is prepared on the server, so a promotion or a restart under the
//! connection leaves nothing stale behind. The only place of this driver that starts a task: the connection's reader,
//! ended with the connection.

use super::tls;
use crate::connections::OWN_MARK;
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::PostgresTls;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Connection, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// What a server may take to accept a connection; one that needs longer is no use in a failover.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A server that says nothing for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(5);

/// What no database may decide for our sessions: a database's or a role's own settings are the application's to make, ours
/// are a superuser's. Names are looked up in the catalogue only, literals are what [`literal`] makes, and only our own time
/// limits count. The level of isolation: a standby refuses the highest one.
pub(super) const PINNED: &str = "-c search_path=pg_catalog -c standard_conforming_strings=on -c statement_timeout=0 \
    -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_isolation=read\\ committed";

/// The same, of a setting that PostgreSQL has from this release on; an older one refuses a session that names it.
const PINNED_LATER: (u32, &str) = (17, "SET transaction_timeout = 0");

/// The place in the server that looks for a role once its rule let the client in; unlike the message, it is in no language.
const ROLE_LOOKED_UP: &str = "InitializeSessionUserId";

/// What a server does with a login, told without logging in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Knock {
    /// It lets the user in who shows the right password.
    LetIn,
    /// Its rules do not: says how it said so.
    Refused(String),
    /// It did not come to that.
    Untold(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SqlError {
    /// Nothing was sent: the connection cannot be made.
    #[error("cannot connect: {0}")]
    NoConnection(String),
    /// The server answered with an error; code is an SQLSTATE. `unknown_role`: it let the client in and has no such role.
    #[error("{message} ({code})")]
    Refused { code: String, message: String, unknown_role: bool },
    /// The connection broke or the time was over after something was sent.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl SqlError {
    /// The SQLSTATE, if the server gave one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            SqlError::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The connection is of no use any more. Class 57P0: the server went down under it.
    fn broke(&self) -> bool {
        matches!(self, SqlError::NoAnswer(_)) || self.code().is_some_and(|c| c.starts_with("57P0"))
    }

    /// As a failure of a statement that changes something.
    pub(super) fn failure(self, what: &str) -> Failure {
        match &self {
            SqlError::NoConnection(_) => Failure::unreachable(format!("{what}: {self}")),
            // The server went down under the statement: it may have been done.
            SqlError::Refused { code, .. } if code.starts_with("57P0") => Failure::unknown(format!("{what}: {self}")),
            SqlError::Refused { .. } => Failure::rejected(format!("{what}: {self}")),
            SqlError::NoAnswer(_) => Failure::unknown(format!("{what}: {self}")),
        }
    }
}

/// A connection and its reader.
struct Live {
    client: Client,
    reader: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        // The reader would wait for ever for the answer of a frozen server.
        self.reader.abort();
    }
}

/// Where to connect, and the connection if there is one.
pub(super) struct Session {
    config: Config,
    tls: Option<PostgresTls>,
    live: Mutex<Option<Live>>,
}

impl Session {
    /// Connects at the first call; for a server beside us, without TLS.
    pub(super) fn new(config: Config) -> Session {
        Session { config, tls: None, live: Mutex::new(None) }
    }

    /// The same to a server elsewhere, with TLS where the plan has it.
    pub(super) fn away(mut config: Config, tls: Option<&PostgresTls>) -> Session {
        if tls.is_some() {
            config.ssl_mode(SslMode::Require);
        }
        Session { config, tls: tls.cloned(), live: Mutex::new(None) }
    }

    /// One connection that is never made anew: what is begun on it ends on it, or is taken back with it.
    pub(super) async fn exclusive(&self) -> Result<Exclusive, SqlError> {
        Ok(Exclusive(self.connect().await?))
    }

    /// Another connection to the same server, for what takes long: a session does one thing at a time.
    pub(super) fn another(&self) -> Session {
        Session { config: self.config.clone(), tls: self.tls.clone(), live: Mutex::new(None) }
    }

    /// Sends statements and returns the rows of all of them. Sent again once if the kept connection turns out to be
    /// broken before anything was answered and `again` allows it: the statements must then be harmless to repeat.
    pub(super) async fn rows(&self, sql: &str, within: Duration, again: bool) -> Result<Vec<SimpleQueryRow>, SqlError> {
        let work = async {
            let mut live = self.live.lock().await;
            let kept = live.as_ref().is_some_and(|l| !l.client.is_closed());
            if !kept {
                *live = None;
                *live = Some(self.connect().await?);
            }
            // Taken out while it is in use: if the time is over in the middle it is dropped and not used again.
            let mut used = live.take().expect("made above");
            let mut answer = send(&used.client, sql).await;
            if kept && again && answer.as_ref().is_err_and(SqlError::broke) {
                used = self.connect().await?;
                answer = send(&used.client, sql).await;
            }
            if !answer.as_ref().is_err_and(SqlError::broke) {
                *live = Some(used);
            }
            answer
        };
        match tokio::time::timeout(within, work).await {
            Ok(answer) => answer,
            Err(_) => Err(SqlError::NoAnswer(format!("not within {} ms", within.as_millis()))),
        }
    }

    /// Logs in with a password that is wrong on purpose, and tells by how that ends whether it was the password.
    pub(super) async fn knock(&self) -> Knock {
        match self.connect().await {
            Ok(_) => Knock::LetIn,
            Err(SqlError::Refused { code, unknown_role, .. }) if code == "28P01" || unknown_role => Knock::LetIn,
            Err(SqlError::Refused { code, message, .. }) if code.starts_with("28") => Knock::Refused(message),
            Err(error) => Knock::Untold(error.to_string()),
        }
    }

    async fn connect(&self) -> Result<Live, SqlError> {
        let connecting = async {
            match self.config.get_hosts() {
                [Host::Tcp(host)] => {
                    let stream = self.dial(host).await.map_err(|e| SqlError::NoConnection(e.to_string()))?;
                    let Some(tls) = &self.tls else {
                        return self
                            .config
                            .connect_raw(stream, NoTls)
                            .await
                            .map(keep)
                            .map_err(|e| read_error(&e, true));
                    };
                    let wrap = tls::wrap(tls, host).map_err(|e| SqlError::NoConnection(e.to_string()))?;
                    self.config.connect_raw(stream, wrap).await.map(keep).map_err(|e| read_error(&e, true))
                }
                // A private server on a Unix socket: no fence of packets stands there.
                _ => self.config.connect(NoTls).await.map(keep).map_err(|e| read_error(&e, true)),
            }
        };
        let pinned = async {
            let (live, version) = connecting.await?;
            if let Some(sql) = later(version.as_deref()) {
                send(&live.client, sql).await?;
            }
            Ok(live)
        };
        // TLS is two more ways there and back, which counts between distant regions.
        let patience = if self.tls.is_some() { 2 * CONNECT_TIMEOUT } else { CONNECT_TIMEOUT };
        let late = |_| SqlError::NoConnection(format!("not within {} ms", patience.as_millis()));
        tokio::time::timeout(patience, pinned).await.map_err(late)?
    }

    /// A connection whose packets carry our mark, so that a fence around the server's clients lets them through.
    async fn dial(&self, host: &str) -> io::Result<TcpStream> {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let mut last = io::Error::other(format!("{host} has no address"));
        for address in lookup_host((host, port)).await? {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            mark(&socket);
            match socket.connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    notice_silence(&stream)?;
                    return Ok(stream);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

/// What is left to pin on a server of that release.
fn later(version: Option<&str>) -> Option<&'static str> {
    let digits =
        |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|major| major.parse::<u32>().ok());
    let major = version.and_then(digits)?;
    (major >= PINNED_LATER.0).then_some(PINNED_LATER.1)
}

/// Starts the connection's reader; with the server's release.
fn keep<S, T>((client, connection): (Client, Connection<S, T>)) -> (Live, Option<String>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let version = connection.parameter("server_version").map(str::to_owned);
    let reader = tokio::spawn(async move {
        // Its end is seen by the next statement.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to PostgreSQL ended");
        }
    });
    (Live { client, reader }, version)
}

/// Only root may mark, and only a fence that needs root asks for it: without the right nothing is lost.
#[cfg(target_os = "linux")]
fn mark(socket: &TcpSocket) {
    let _ = SockRef::from(socket).set_mark(OWN_MARK);
}

#[cfg(not(target_os = "linux"))]
fn mark(_: &TcpSocket) {}

/// A server that is gone without a word is noticed within seconds.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(())
}

/// See [`Session::exclusive`].
pub(super) struct Exclusive(Live);

impl Exclusive {
    /// Sends statements and returns the rows of all of them.
    pub(super) async fn rows(&self, sql: &str, within: Duration) -> Result<Vec<SimpleQueryRow>, SqlError> {
        let answer = tokio::time::timeout(within, send(&self.0.client, sql)).await;
        answer.unwrap_or_else(|_| Err(SqlError::NoAnswer(format!("not within {} ms", within.as_millis()))))
    }
}

async fn send(client: &Client, sql: &str) -> Result<Vec<SimpleQueryRow>, SqlError> {
    let messages = client.simple_query(sql).await.map_err(|error| read_error(&error, false))?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

fn read_error(error: &tokio_postgres::Error, connecting: bool) -> SqlError {
    if let Some(server) = error.as_db_error() {
        let code = server.code().code().to_owned();
        let unknown_role = server.routine() == Some(ROLE_LOOKED_UP);
        return SqlError::Refused { code, message: brief(server.message()), unknown_role };
    }
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if connecting { SqlError::NoConnection(cause) } else { SqlError::NoAnswer(cause) }
}

/// The application may raise errors of any length.
fn brief(message: &str) -> String {
    match message.char_indices().nth(1_000) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

/// A text as an SQL literal.
pub(super) fn literal(text: &str) -> String {
    // Backslashes are plain characters in ordinary literals (`PINNED` sees to it), quotes are doubled.
    format!("'{}'", text.replace('\'', "''"))
}

/// A column of a row by name, empty counting as absent.
pub(super) fn column<'a>(row: &'a SimpleQueryRow, name: &str) -> Option<&'a str> {
    row.try_get(name).ok().flatten().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::later;

    #[test]
    fn only_a_release_that_knows_it_is_sent_the_later_setting() {
        assert_eq!(later(Some("15.18 (Debian 15.18-0+deb12u1)")), None);
        assert_eq!(later(Some("16.1")), None);
        assert!(later(Some("17beta1")).is_some() && later(Some("18.0")).is_some());
        assert_eq!(later(None), None);
    }
}

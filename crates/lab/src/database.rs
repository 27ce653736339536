//! Questions to a database of the lab, asked from outside as a user of it would.

use std::net::SocketAddr;
use std::time::Duration;
use tokio_postgres::{Client, Config, NoTls};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Nobody answers.
    #[error("cannot connect to {at}")]
    Connect {
        /// Where.
        at: SocketAddr,
        /// Why.
        source: tokio_postgres::Error,
    },
    /// It answers no.
    #[error("`{statement}` failed")]
    Statement {
        /// What was asked.
        statement: String,
        /// Why.
        source: tokio_postgres::Error,
    },
}

/// A database of the lab, asked as its superuser `postgres`.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it answers.
    pub at: SocketAddr,
    /// The superuser's password.
    pub password: String,
}

async fn connect(database: &Database) -> Result<Client, DatabaseError> {
    let at = database.at;
    let mut config = Config::new();
    config
        .host(at.ip().to_string())
        .port(at.port())
        .user("postgres")
        .dbname("postgres")
        .application_name("pilotlight lab");
    config.password(&database.password);
    config.connect_timeout(Duration::from_secs(2));
    let (client, connection) = config.connect(NoTls).await.map_err(|source| DatabaseError::Connect { at, source })?;
    // Ends with the client.
    tokio::spawn(connection);
    Ok(client)
}

/// Runs statements.
pub async fn execute(database: &Database, statements: &str) -> Result<(), DatabaseError> {
    let client = connect(database).await?;
    let done = client.batch_execute(statements).await;
    done.map_err(|source| DatabaseError::Statement { statement: statements.to_owned(), source })
}

/// The first column of every row, as text.
pub async fn column(database: &Database, query: &str) -> Result<Vec<String>, DatabaseError> {
    let client = connect(database).await?;
    let rows = client.query(query, &[]).await;
    let rows = rows.map_err(|source| DatabaseError::Statement { statement: query.to_owned(), source })?;
    rows.iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()
        .map_err(|source| DatabaseError::Statement { statement: query.to_owned(), source })
}

//! Questions to a database of the lab, asked from outside as a user of it would.

use std::time::Duration;
use tokio_postgres::{Client, Config, NoTls};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Nobody answers.
    #[error("cannot connect to port {port}")]
    Connect {
        /// On 127.0.0.1.
        port: u16,
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

/// A database of the lab: its superuser `postgres` on 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its port.
    pub port: u16,
    /// The superuser's password.
    pub password: String,
}

async fn connect(database: &Database) -> Result<Client, DatabaseError> {
    let port = database.port;
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname("postgres").application_name("pilotlight lab");
    config.password(&database.password);
    config.connect_timeout(Duration::from_secs(2));
    let (client, connection) = config.connect(NoTls).await.map_err(|source| DatabaseError::Connect { port, source })?;
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

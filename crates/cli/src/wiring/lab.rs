//! The databases of the demo and the benchmarks, made with PostgreSQL's own programs.

use pilotlight_core::outcome::Failure;
use pilotlight_lab::database::Database;
use pilotlight_local::postgres::cluster::{self, NewServer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

type Answer = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The folder of PostgreSQL's own programs.
pub(crate) fn bin_dir() -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
    cluster::bin_dir().map_err(with_output)
}

/// Makes an empty database.
pub(crate) async fn create_database(data_dir: &Path, database: &Database, shared_buffers: &str) -> Answer {
    cluster::init(&server(data_dir, database, shared_buffers)).await.map_err(with_output)
}

/// Makes a copy of a running server.
pub(crate) async fn clone_database(
    data_dir: &Path,
    database: &Database,
    of: SocketAddr,
    shared_buffers: &str,
) -> Answer {
    let (host, port) = (of.ip().to_string(), of.port());
    cluster::clone(&server(data_dir, database, shared_buffers), &host, port).await.map_err(with_output)
}

/// Ends every process of a database and gives back what the system keeps for it.
pub(crate) fn end_database(data_dir: &Path) {
    cluster::kill(data_dir);
}

fn server(data_dir: &Path, database: &Database, shared_buffers: &str) -> NewServer {
    NewServer {
        data_dir: data_dir.to_owned(),
        address: database.at.ip(),
        port: database.at.port(),
        bin_dir: None,
        run_as: None,
        user: "postgres".to_owned(),
        password: Some(database.password.clone()),
        shared_buffers: shared_buffers.to_owned(),
        max_connections: 100,
    }
}

/// What the program printed belongs to the error.
#[allow(clippy::needless_pass_by_value)] // the shape map_err wants
fn with_output(failure: Failure) -> Box<dyn std::error::Error + Send + Sync> {
    let hint = failure.hint.as_deref().unwrap_or_default();
    format!("{failure}\n{}{hint}", failure.output).into()
}

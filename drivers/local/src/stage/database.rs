//! A PostgreSQL server of its own for a test, gone with it.

use super::wait::until_some;
use crate::group::Group;
use crate::postgres::cluster;
use nix::unistd::User;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running server; user and database `postgres`, trusting loopback.
pub(crate) struct Database {
    pub(crate) port: u16,
    server: std::process::Child,
    _data: TempDir,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let data = TempDir::new().unwrap();
        let owner = owner();
        if let Some(owner) = &owner {
            nix::unistd::chown(data.path(), Some(owner.uid), Some(owner.gid)).unwrap();
        }
        let folder = data.path().join("data");
        let mut initdb = command(&owner, "initdb", &folder);
        let made = initdb.args(["--username=postgres", "--auth=trust", "--no-sync", "--no-locale"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = super::refused().await.port();
        let server = command(&owner, "postgres", &folder)
            .args(["-c", &format!("port={port}"), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let database = Self { port, server, _data: data };
        until_some(async || {
            let config = database.dsn().parse::<tokio_postgres::Config>().unwrap();
            config.connect(tokio_postgres::NoTls).await.map(drop).map_err(|e| e.to_string())
        })
        .await;
        database
    }

    pub(crate) fn dsn(&self) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(group) = Group::of(self.server.id()) {
            group.kill();
        }
        let _ = self.server.wait();
    }
}

/// PostgreSQL refuses to run as root.
fn owner() -> Option<User> {
    nix::unistd::geteuid().is_root().then(|| User::from_name("postgres").unwrap().expect("an account postgres"))
}

fn command(owner: &Option<User>, program: &str, data: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(cluster::bin_dir().expect("PostgreSQL is installed").join(program));
    command.arg("-D").arg(data).current_dir("/").process_group(0).stdin(Stdio::null());
    if let Some(owner) = owner {
        command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
    }
    command
}

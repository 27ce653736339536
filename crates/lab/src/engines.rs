//! The engines that controllers share, as processes of this machine: a cluster of etcd, and a server that speaks S3.
//!
//! Where a program is not installed, starting answers `Absent` with what would bring it; a test prints that and is over.

use crate::certificates::Files;
use crate::folder::Folder;
use crate::net::Door;
use crate::ports;
use crate::region::{Child, Launch};
use std::io;
use std::path::PathBuf;

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Its program is not here.
    #[error("`{program}` is not installed; {bring}")]
    Absent {
        /// What was looked for.
        program: &'static str,
        /// What brings it.
        bring: &'static str,
    },
    /// The system refused.
    #[error("cannot start {program}")]
    Start {
        /// What.
        program: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What brings both.
const BRING: &str = "`make test` installs it where it can (scripts/ensure-engines.sh)";

/// A program on the search path.
fn find(program: &'static str) -> Result<PathBuf, EngineError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or(EngineError::Absent { program, bring: BRING })
}

/// What a cluster of etcd has beyond the usual. Whether it asks who its clients are is a matter of its accounts.
#[derive(Debug, Default)]
pub struct EtcdOptions {
    /// With what it speaks TLS.
    pub tls: Option<Files>,
    /// What its tokens are signed by. Without it they are random, and forgotten with the process.
    pub token_key: Option<PathBuf>,
    /// So large may its database become.
    pub quota_bytes: Option<u64>,
}

impl EtcdOptions {
    fn arguments(&self) -> Vec<(&'static str, String)> {
        let tls = self.tls.iter().flat_map(|files| [("--cert-file", &files.certificate), ("--key-file", &files.key)]);
        let tls = tls.map(|(key, file)| (key, file.display().to_string()));
        let token = self.token_key.iter().map(|key| {
            let key = key.display();
            ("--auth-token", format!("jwt,sign-method=HS256,priv-key={key},pub-key={key}"))
        });
        let quota = self.quota_bytes.iter().map(|bytes| ("--quota-backend-bytes", bytes.to_string()));
        tls.chain(token).chain(quota).collect()
    }
}

/// Members of an etcd cluster, ended with this value.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Child>,
    endpoints: Vec<String>,
    _folder: Folder,
}

impl EtcdCluster {
    /// Starts so many members; they need a moment to elect one of them.
    pub fn start(members: usize) -> Result<Self, EngineError> {
        Self::start_with(members, &EtcdOptions::default())
    }

    /// The same with something beyond the usual.
    pub fn start_with(members: usize, options: &EtcdOptions) -> Result<Self, EngineError> {
        let program = find("etcd")?;
        let failed = |source| EngineError::Start { program: "etcd", source };
        let folder = Folder::create("pilotlight-etcd-", false).map_err(failed)?;
        let free = ports::free(members * 2).map_err(failed)?;
        let (clients, peers) = free.split_at(members);
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let (client, peer) =
            (|port: &u16| format!("{scheme}://127.0.0.1:{port}"), |port: &u16| format!("http://127.0.0.1:{port}"));
        let cluster: Vec<String> = peers.iter().enumerate().map(|(n, port)| format!("m{n}={}", peer(port))).collect();
        let mut started = Vec::new();
        for n in 0..members {
            let name = format!("m{n}");
            let arguments = [
                ("--name", name.clone()),
                ("--data-dir", name.clone()),
                ("--listen-client-urls", client(&clients[n])),
                ("--advertise-client-urls", client(&clients[n])),
                ("--listen-peer-urls", peer(&peers[n])),
                ("--initial-advertise-peer-urls", peer(&peers[n])),
                ("--initial-cluster", cluster.join(",")),
                ("--heartbeat-interval", "50".to_owned()),
                ("--election-timeout", "500".to_owned()),
            ];
            let mut argv = vec![program.display().to_string()];
            argv.extend(
                arguments.into_iter().chain(options.arguments()).flat_map(|(key, value)| [key.to_owned(), value]),
            );
            let launch =
                Launch { folder: folder.path().to_owned(), name, argv, env: Vec::new(), door: Door::default() };
            started.push(launch.start().map_err(failed)?);
        }
        Ok(Self { members: started, endpoints: clients.iter().map(client).collect(), _folder: folder })
    }

    /// Where each member listens for clients.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The process of a member.
    pub fn member(&mut self, number: usize) -> &mut Child {
        &mut self.members[number]
    }
}

/// A server that speaks S3 and forgets everything at its end.
#[derive(Debug)]
pub struct Buckets {
    server: Child,
    endpoint: String,
    _folder: Folder,
}

impl Buckets {
    /// Starts moto, which honours conditions as S3 does.
    pub fn start() -> Result<Self, EngineError> {
        let program = find("moto_server")?;
        let failed = |source| EngineError::Start { program: "moto_server", source };
        let folder = Folder::create("pilotlight-moto-", false).map_err(failed)?;
        let port = ports::free(1).map_err(failed)?[0].to_string();
        let argv =
            vec![program.display().to_string(), "-H".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port.clone()];
        let launch = Launch {
            folder: folder.path().to_owned(),
            name: "moto".to_owned(),
            argv,
            env: Vec::new(),
            door: Door::default(),
        };
        let server = launch.start().map_err(failed)?;
        Ok(Self { server, endpoint: format!("http://127.0.0.1:{port}"), _folder: folder })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its process.
    pub fn server(&mut self) -> &mut Child {
        &mut self.server
    }
}

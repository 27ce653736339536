//! Making servers for labs, trials and tests: a first one, a copy of it, and their end.
//!
//! Border: files and programs only, no plan and no agent. A server in production is made by its owner.

use super::directory::Directory;
use super::durable;
use super::processes;
use super::programs::{Call, Programs};
use nix::sys::signal::Signal;
use pilotlight_core::outcome::Failure;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A server that is to be made.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// Its data directory; made here, its parent must exist and let the account in.
    pub data_dir: PathBuf,
    /// The only address it listens on. Beyond the loopback it lets in the network it is in, with the password.
    pub address: IpAddr,
    /// Its port there.
    pub port: u16,
    /// Folder of the programs; `None` looks in the usual places.
    pub bin_dir: Option<PathBuf>,
    /// Account that owns it when the caller is root; `None` means `postgres`.
    pub run_as: Option<String>,
    /// Its superuser.
    pub user: String,
    /// The superuser's password; without one every local account may connect to it.
    pub password: Option<String>,
    /// `shared_buffers`, for example `32MB`.
    pub shared_buffers: String,
    /// `max_connections`.
    pub max_connections: u32,
}

/// Nothing in a lab takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes an empty database with checksums, ready to be replicated and rewound. The files made here are not synced, which
/// would take seconds: whoever loses power meanwhile makes the lab anew. The running server syncs all it acknowledges.
pub async fn init(server: &NewServer) -> Result<(), Failure> {
    let programs = server.programs();
    make_folder(server, &programs)?;
    let secret = server.password.as_ref().map(|p| write_secret(server, &programs, p)).transpose()?;
    let mut args: Vec<String> = ["-D".to_owned(), server.data_dir.display().to_string(), "-U".to_owned()].into();
    args.extend([server.user.clone()]);
    args.extend(["--no-locale", "--encoding=UTF8", "--data-checksums", "--no-sync"].map(str::to_owned));
    match &secret {
        Some(path) => args.extend(["--auth=scram-sha-256".to_owned(), format!("--pwfile={}", path.display())]),
        None => args.push("--auth=trust".to_owned()),
    }
    let done = run(&programs, "initdb", &server.data_dir, &args).await;
    if let Some(path) = secret {
        durable::remove(&path).map_err(|e| cannot("remove the password file", &e))?;
    }
    done?;
    configure(server, &programs)
}

/// Makes a copy of a running server that has not been started yet. Rejoin starts it and makes it follow.
pub async fn clone(server: &NewServer, host: &str, port: u16) -> Result<(), Failure> {
    let programs = server.programs();
    make_folder(server, &programs)?;
    let (target, port) = (server.data_dir.display().to_string(), port.to_string());
    let args = [
        "-D",
        &target,
        "-h",
        host,
        "-p",
        &port,
        "-U",
        &server.user,
        "-X",
        "stream",
        "-c",
        "fast",
        "--no-password",
        "--no-sync",
    ];
    run(&programs, "pg_basebackup", &server.data_dir, &args.map(str::to_owned)).await?;
    let directory = Directory::new(&server.data_dir, programs.owner());
    directory.arm().map_err(|e| cannot("make standby.signal", &e))?;
    configure(server, &programs)
}

/// The folder of PostgreSQL's own programs, found in the usual places.
pub fn bin_dir() -> Result<PathBuf, Failure> {
    let programs = Programs { bin_dir: None, run_as: None, password: None };
    let pg_ctl = programs.find("pg_ctl", None)?;
    Ok(pg_ctl.parent().map(Path::to_owned).unwrap_or_default())
}

/// Kills every process of a data directory, removes what it shared in memory, and returns when none is left, or after two
/// seconds with how many are. Synchronous, so that it can be called while a test or a lab is being torn down.
pub fn kill(data_dir: &Path) -> usize {
    let directory = Directory::new(data_dir, None);
    let file = directory.pid_file();
    for _ in 0..400 {
        if let Some((postmaster, _)) = processes::postmaster(&directory) {
            processes::signal(postmaster, Signal::SIGKILL);
        }
        let left = processes::of(&directory).left;
        if left.is_empty() {
            if let Some(file) = &file {
                processes::remove_segment(file);
            }
            return 0;
        }
        for proc in left {
            processes::signal(proc, Signal::SIGKILL);
        }
        let moment = Duration::from_millis(5);
        std::thread::park_timeout(moment);
    }
    processes::of(&directory).left.len()
}

/// The pids that serve a data directory, the postmaster first if there is one.
pub fn processes(data_dir: &Path) -> Vec<i32> {
    let directory = Directory::new(data_dir, None);
    let first = processes::postmaster(&directory).map(|(p, _)| p.pid);
    let mut pids: Vec<i32> = processes::of(&directory).left.iter().map(|p| p.pid).collect();
    pids.sort_by_key(|pid| (Some(*pid) != first, *pid));
    pids
}

impl NewServer {
    fn programs(&self) -> Programs {
        Programs { bin_dir: self.bin_dir.clone(), run_as: self.run_as.clone(), password: self.password.clone() }
    }
}

/// Settings of every server made here: replication, rewind, no restart and no retry pause that nobody decided.
fn settings(server: &NewServer) -> String {
    // Dynamic shared memory as files of the directory goes with it; elsewhere it would outlive a killed server.
    // A crash recovery first syncs the whole directory: as one call instead of a thousand, where the system has it.
    let sync = if cfg!(target_os = "linux") { "recovery_init_sync_method = 'syncfs'\n" } else { "" };
    format!(
        "listen_addresses = '{}'\nport = {}\nunix_socket_directories = ''\nmax_connections = {}\n\
         shared_buffers = '{}'\nwal_level = logical\nhot_standby = on\nwal_log_hints = on\nfull_page_writes = on\n\
         fsync = on\nmax_wal_senders = 10\nmax_replication_slots = 10\nwal_keep_size = '256MB'\n\
         wal_retrieve_retry_interval = '100ms'\nwal_receiver_timeout = '5s'\nwal_sender_timeout = '5s'\n\
         restart_after_crash = off\ntcp_keepalives_idle = 5\ntcp_keepalives_interval = 1\ntcp_keepalives_count = 3\n\
         logging_collector = off\nlog_line_prefix = '%m [%p] '\n\
         dynamic_shared_memory_type = mmap\n{sync}",
        server.address, server.port, server.max_connections, server.shared_buffers
    )
}

fn configure(server: &NewServer, programs: &Programs) -> Result<(), Failure> {
    // A file of its own, included last: initdb's is left as it is and a clone's is replaced as one.
    let own = server.data_dir.join("pilotlight.conf");
    let main = server.data_dir.join("postgresql.conf");
    let include = "\ninclude_if_exists = 'pilotlight.conf'\n";
    let write = || {
        durable::write(&own, settings(server).as_bytes(), programs.owner())?;
        open_to_network(server, programs.owner())?;
        let text = fs::read_to_string(&main)?;
        if text.contains(include) {
            return Ok(());
        }
        durable::write(&main, format!("{text}{include}").as_bytes(), programs.owner())
    };
    write().map_err(|e: io::Error| cannot("configure the server", &e))
}

/// Who may come in from beyond the loopback: whoever is in the same network and knows the password.
fn open_to_network(server: &NewServer, owner: durable::Owner) -> io::Result<()> {
    let rules = "host all all samenet scram-sha-256\nhost replication all samenet scram-sha-256\n";
    let file = server.data_dir.join("pg_hba.conf");
    let text = fs::read_to_string(&file)?;
    if server.address.is_loopback() || text.contains(rules) {
        return Ok(());
    }
    durable::write(&file, format!("{text}{rules}").as_bytes(), owner)
}

fn make_folder(server: &NewServer, programs: &Programs) -> Result<(), Failure> {
    programs.account()?;
    let make = || {
        fs::create_dir_all(&server.data_dir)?;
        fs::set_permissions(&server.data_dir, fs::Permissions::from_mode(0o700))?;
        // The plan may name a link.
        durable::give(&fs::canonicalize(&server.data_dir)?, programs.owner())
    };
    make().map_err(|e: io::Error| cannot(&format!("make {}", server.data_dir.display()), &e))
}

fn write_secret(server: &NewServer, programs: &Programs, password: &str) -> Result<PathBuf, Failure> {
    let mut path = server.data_dir.as_os_str().to_owned();
    path.push(".secret");
    let path = PathBuf::from(path);
    durable::write(&path, password.as_bytes(), programs.owner()).map_err(|e| cannot("write the password file", &e))?;
    Ok(path)
}

async fn run(programs: &Programs, program: &'static str, folder: &Path, args: &[String]) -> Result<(), Failure> {
    let call = Call { program, version: None, folder };
    let ended = programs.run(call, args, DEADLINE, &CancellationToken::new()).await?;
    if ended.success { Ok(()) } else { Err(Failure::rejected(format!("{program} failed")).output(ended.output)) }
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::rejected(format!("cannot {what}: {error}"))
}

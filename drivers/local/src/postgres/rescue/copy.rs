//! A fenced copy of the old writer: its data directory copied, started where nobody but the agent can reach it, to read
//! rows out of its log; thrown away afterwards. The directory itself is only read.
//!
//! Why a copy and not the directory: a server that starts changes it (recovery, checkpoints), and what is rewound next must
//! be what was fenced. Where the file system can share blocks between files, the copy costs next to nothing.
//!
//! Invariant: it listens on no address, its socket lies in a folder that only the server's account and root may enter, and
//! no setting of the old server applies to it.

use super::super::PostgresDriver;
use super::super::directory::Directory;
use super::super::durable::{self, Owner};
use super::super::rebuild::free_bytes;
use super::super::session::Session;
use super::super::work::Work;
use super::capture::not_kept;
use super::decode::unread;
use pilotlight_core::outcome::Failure;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What belongs to the server that ran there, and what no log needs.
const LEFT_OUT: [&str; 9] = [
    "postmaster.pid",
    "postmaster.opts",
    "standby.signal",
    "recovery.signal",
    "postgresql.auto.conf",
    "log",
    "pg_log",
    "pg_stat_tmp",
    "pgsql_tmp",
];

/// Settings of the copy; none of the old server's apply. It is thrown away, so nothing of it need be durable.
const SETTINGS: &str = "listen_addresses = ''\nport = 5432\nwal_level = logical\nmax_replication_slots = 1000\n\
    max_prepared_transactions = 1000\nmax_locks_per_transaction = 1000\nhot_standby = off\nautovacuum = off\nfsync = off\n\
    full_page_writes = off\nshared_buffers = '32MB'\nmax_wal_size = '64GB'\ncheckpoint_timeout = '1d'\n\
    max_slot_wal_keep_size = -1\njit = off\nlogging_collector = off\nrestart_after_crash = off\narchive_mode = off\n\
    shared_preload_libraries = ''\nsession_preload_libraries = ''\ndynamic_shared_memory_type = mmap\n";

/// Linux takes 107 bytes, others 103.
const LONGEST_SOCKET: usize = 100;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running copy; dropped, it is killed and removed.
pub(super) struct FencedCopy {
    directory: Directory,
    socket: PathBuf,
    server: tokio::process::Child,
}

impl FencedCopy {
    /// A connection to one of its databases.
    pub(super) fn session(&self, database: &str, user: &str) -> Session {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket).port(5_432).user(user).dbname(database).application_name("pilotlight");
        config.options(super::exact(""));
        Session::new(config)
    }
}

impl Drop for FencedCopy {
    fn drop(&mut self) {
        let _ = self.server.start_kill();
        remove(&self.directory, Some(&self.socket));
    }
}

/// Kills what runs in the folder and removes it.
fn remove(directory: &Directory, socket: Option<&Path>) {
    super::super::cluster::kill(directory.path());
    for folder in [Some(directory.path()), socket].into_iter().flatten() {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %folder.display(), %error, "a copy that was made to read rows cannot be removed");
            }
            _ => {}
        }
    }
}

impl PostgresDriver {
    /// Copies and starts.
    pub(super) async fn fenced_copy(&self, work: &Work<'_>) -> Result<FencedCopy, Failure> {
        let original = self.directory();
        let path = self.beside("rescue");
        let directory = Directory::new(&path, original.owner());
        // One of an agent that was killed may still run.
        remove(&directory, None);
        let (from, to, owner, stop) = (original.path().to_owned(), path.clone(), original.owner(), self.stopper(work));
        let copy = move || {
            let bytes = size(&from)?;
            if let Some(free) = to.parent().and_then(free_bytes).filter(|free| *free < bytes) {
                tracing::info!(bytes, free, "the copy fits only where files can share blocks");
            }
            tree(&from, &from, &to, owner, &stop)?;
            durable::write(&to.join("postgresql.conf"), SETTINGS.as_bytes(), owner)?;
            durable::write(&to.join("postgresql.auto.conf"), b"", owner)?;
            durable::write(&to.join("pg_hba.conf"), b"local all all trust\n", owner)?;
            durable::write(&to.join("pg_ident.conf"), b"", owner)
        };
        let copied = tokio::task::spawn_blocking(copy).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        if let Err(error) = copied {
            remove(&directory, None);
            return Err(not_kept(&path, &error));
        }
        let directory = Directory::new(&path, original.owner());
        let socket = place_of_socket(directory.path(), original.owner()).map_err(|e| not_kept(&path, &e))?;
        self.start_copy(directory, socket, work).await
    }

    async fn start_copy(&self, directory: Directory, socket: PathBuf, work: &Work<'_>) -> Result<FencedCopy, Failure> {
        let version = directory.version();
        let path = directory.path().to_owned();
        let log = path.join("rescue.log");
        let file =
            fs::File::create(&log).and_then(|file| Ok((file.try_clone()?, file))).map_err(|e| not_kept(&log, &e))?;
        let mut command = self.programs.command("postgres", version.as_deref(), &path)?;
        command.arg("-D").arg(&path).arg("-c").arg(format!("config_file={}", path.join("postgresql.conf").display()));
        command.arg("-c").arg(format!("unix_socket_directories={}", socket.display()));
        command.stdout(file.0).stderr(file.1).kill_on_drop(true);
        let server = command.spawn();
        let server = match server {
            Ok(server) => server,
            Err(e) => {
                remove(&directory, Some(&socket));
                return Err(Failure::rejected(format!("PL-0701: postgres does not start: {e}")));
            }
        };
        let mut copy = FencedCopy { directory, socket, server };
        loop {
            let output = || fs::read_to_string(&log).unwrap_or_default();
            if let Ok(Some(status)) = copy.server.try_wait() {
                return Err(unread("the copy of the old writer ended while it started", status)
                    .output(super::super::programs::tail(&output())));
            }
            if copy.directory.pid_file().is_some_and(|file| file.status == "ready") {
                return Ok(copy);
            }
            let waited = work.pause(LOOK_AGAIN, "the copy of the old writer runs", &|| "it recovers".to_owned()).await;
            waited.map_err(|failure| Failure::transient(failure.message).output(output()))?;
        }
    }
}

/// The copy's own folder, which only the account may enter; one with a short path where sockets may not have so long a one.
fn place_of_socket(copy: &Path, owner: Owner) -> io::Result<PathBuf> {
    if copy.as_os_str().len() + ".s.PGSQL.5432.lock".len() < LONGEST_SOCKET {
        return Ok(copy.to_owned());
    }
    let random: String = super::seal::random::<8>()?.iter().map(|b| format!("{b:02x}")).collect();
    let path = std::env::temp_dir().join(format!("pilotlight-{random}"));
    fs::create_dir(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    durable::give(&path, owner)?;
    Ok(path)
}

fn is_left_out(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|n| LEFT_OUT.contains(&n))
}

/// Bytes of all files below a folder.
pub(in super::super) fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(about) = fs::metadata(&path) else { continue };
        bytes += if about.is_dir() { size(&path)? } else { about.len() };
    }
    Ok(bytes)
}

/// What a link in the data directory is to us.
enum Link {
    /// The log or a tablespace, where the administrator put it.
    Followed,
    /// A certificate or a configuration: no log needs it.
    LeftOut,
}

/// The account could lead us anywhere by a link. Followed is only what the server itself keeps elsewhere, and only to a folder that
/// belongs to the account.
fn link(root: &Path, path: &Path, owner: Owner) -> io::Result<Link> {
    let parent = path.parent();
    let top = parent == Some(root);
    let known =
        (top && path.file_name().is_some_and(|n| n == "pg_wal")) || parent.is_some_and(|p| p == root.join("pg_tblspc"));
    let about = fs::metadata(path)?;
    let its_own = owner.is_none_or(|(uid, _)| about.uid() == uid.as_raw());
    match (known && about.is_dir() && its_own, top && !about.is_dir()) {
        (true, _) => Ok(Link::Followed),
        (false, true) => Ok(Link::LeftOut),
        (false, false) => Err(io::Error::other(format!(
            "{} is a link to what is neither the log nor a tablespace of the server's account; it is not followed",
            path.display()
        ))),
    }
}

/// Copies a folder, links to the log and to tablespaces followed, so that nothing of the copy is the original's. It is handed to
/// the account when it is whole: until then nobody else may enter it.
fn tree(root: &Path, from: &Path, to: &Path, owner: Owner, stop: &dyn Fn() -> bool) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if is_left_out(&entry.file_name()) {
            continue;
        }
        if stop() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it was called off, or no time was left"));
        }
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let about = fs::symlink_metadata(&path)?;
        if about.is_symlink() {
            match link(root, &path, owner)? {
                Link::Followed => tree(root, &path, &target, owner, stop)?,
                Link::LeftOut => {}
            }
        } else if about.is_dir() {
            tree(root, &path, &target, owner, stop)?;
        } else if about.is_file() {
            durable::copy(&path, &target, owner)?;
        }
    }
    // The server looks for it and it was left out.
    if from.join("pg_stat_tmp").is_dir() {
        let folder = to.join("pg_stat_tmp");
        fs::create_dir(&folder)?;
        durable::give(&folder, owner)?;
    }
    durable::give(to, owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_the_log_and_tablespaces_are_copied_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (data, log, secret) = (folder.path().join("data"), folder.path().join("log"), folder.path().join("secret"));
        for made in [&data.join("base/1"), &data.join("pg_tblspc"), &log, &secret] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(log.join("0001"), "wal").unwrap();
        fs::write(secret.join("key"), "private").unwrap();
        symlink(&log, data.join("pg_wal")).unwrap();
        symlink(&log, data.join("pg_tblspc/1")).unwrap();
        symlink(secret.join("key"), data.join("server.key")).unwrap();
        let owner = Some((nix::unistd::getuid(), nix::unistd::getgid()));
        let copied = |name: &str| {
            let to = folder.path().join(name);
            tree(&data, &data, &to, owner, &|| false).map(|()| to)
        };
        let to = copied("first").unwrap();
        for name in ["pg_wal/0001", "pg_tblspc/1/0001"] {
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), "wal");
        }
        assert!(fs::symlink_metadata(to.join("pg_wal")).unwrap().is_dir() && !to.join("server.key").exists());
        for (number, (target, at)) in
            [(secret.join("key"), "base/1/16384"), (secret.clone(), "pg_xact")].into_iter().enumerate()
        {
            symlink(target, data.join(at)).unwrap();
            assert!(copied(&number.to_string()).is_err(), "{at}");
            fs::remove_file(data.join(at)).unwrap();
        }
        // A folder that is not the account's.
        if nix::unistd::getuid().is_root() {
            let nobody = Some((nix::unistd::Uid::from_raw(65_534), nix::unistd::Gid::from_raw(65_534)));
            assert!(tree(&data, &data, &folder.path().join("other"), nobody, &|| false).is_err());
        }
    }
}

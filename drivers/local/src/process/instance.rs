//! One instance: how it is started, noted, found again and ended.

use super::ProcessParts;
use super::identity::Identity;
use crate::group::Group;
use nix::unistd::{Pid, getpgid};
use pilotlight_driver::file::replace;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

/// An instance's log begins anew beyond this; the one before is kept.
const LOG_BYTES: u64 = 10 * 1024 * 1024;

/// In an instance's environment, so that it is found even when we died before its note was written.
const MARK: &str = "PILOTLIGHT_INSTANCE_NOTE";

/// A killed process that is not gone by then hangs in the kernel.
const KILLED: Duration = Duration::from_secs(5);

fn note_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("instance-{number}.json"))
}

/// Starts an instance and notes it. The child must be waited for.
pub(super) fn start(parts: &ProcessParts, number: u32) -> io::Result<(Identity, Child)> {
    let number_text = number.to_string();
    let fill = |text: &String| text.replace("{instance}", &number_text);
    let argv: Vec<String> = parts.command.argv.iter().map(fill).collect();
    let [program, arguments @ ..] = argv.as_slice() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
    };
    let log = open_log(&parts.folder, number)?;
    let mut prepared = tokio::process::Command::new(program);
    prepared.args(arguments).process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    for name in &parts.withheld {
        prepared.env_remove(name);
    }
    prepared
        .env("PILOTLIGHT_APPLICATION", parts.application.as_str())
        .env("PILOTLIGHT_REGION", parts.region.as_str())
        .env("PILOTLIGHT_INSTANCE", &number_text)
        .env(MARK, note_path(&parts.folder, number))
        .envs(parts.command.env.iter().map(|(name, value)| (name, fill(value))));
    let mut child = prepared.spawn()?;
    let identity = child.id().and_then(Identity::of);
    // One that ended at once is noted as somebody who cannot be alive.
    let identity = identity.unwrap_or(Identity { pid: child.id().unwrap_or(0), born: "ended at once".to_owned() });
    if let Err(e) = replace(&note_path(&parts.folder, number), &serde_json::to_vec(&identity)?) {
        // What cannot be noted must not go on: nobody would find it.
        let _ = child.start_kill();
        return Err(e);
    }
    Ok((identity, child))
}

fn open_log(folder: &Path, number: u32) -> io::Result<File> {
    let path = folder.join(format!("instance-{number}.log"));
    if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES) {
        std::fs::rename(&path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// The last lines an instance wrote.
pub(super) fn last_words(folder: &Path, number: u32) -> String {
    let text = std::fs::read(folder.join(format!("instance-{number}.log"))).unwrap_or_default();
    let end = &text[text.len().saturating_sub(2_000)..];
    String::from_utf8_lossy(end).trim().to_owned()
}

/// Every instance that still runs from before.
pub(super) fn find(folder: &Path) -> io::Result<Vec<(u32, Identity)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(number) = number_of(&path) else { continue };
        let noted = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Identity>(&text).ok());
        match noted.filter(Identity::is_alive) {
            Some(identity) => found.push((number, identity)),
            None => std::fs::remove_file(&path)?,
        }
    }
    for (number, identity) in find_marked(folder) {
        if !found.iter().any(|(n, _)| *n == number) {
            replace(&note_path(folder, number), &serde_json::to_vec(&identity)?)?;
            found.push((number, identity));
        }
    }
    Ok(found)
}

fn number_of(note: &Path) -> Option<u32> {
    note.file_name()?.to_str()?.strip_prefix("instance-")?.strip_suffix(".json")?.parse().ok()
}

/// Instances by the mark in their environment; only the first of each process group, for its children inherit the mark.
fn find_marked(folder: &Path) -> Vec<(u32, Identity)> {
    let mut system = System::new();
    let with_environment = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, with_environment);
    let marked = |(pid, process): (&sysinfo::Pid, &sysinfo::Process)| {
        let mark = process.environ().iter().find_map(|v| v.to_str()?.strip_prefix(MARK)?.strip_prefix('='))?;
        let note = Path::new(mark);
        let raw = Pid::from_raw(i32::try_from(pid.as_u32()).ok()?);
        let ours = note.parent() == Some(folder) && getpgid(Some(raw)) == Ok(raw);
        Some((number_of(note)?, Identity::of(pid.as_u32())?)).filter(|_| ours)
    };
    system.processes().iter().filter_map(marked).collect()
}

/// Asks the instance to end, then ends it. False when it is still there.
pub(super) async fn stop(folder: &Path, number: u32, identity: &Identity, grace: Duration) -> bool {
    if identity.is_alive()
        && let Some(group) = Group::of(identity.pid)
    {
        group.terminate();
        if !is_gone(identity, grace).await {
            group.kill();
        }
    }
    is_gone(identity, KILLED).await && {
        forget(folder, number, identity);
        true
    }
}

/// Ends what an ended instance may have left of its group, and drops its note.
pub(super) fn forget(folder: &Path, number: u32, identity: &Identity) {
    // The number of a group stays taken as long as anybody is in it, so unless its first process is somebody new, whoever
    // is in it was started by our instance.
    if !identity.is_alive()
        && !identity.is_taken()
        && let Some(group) = Group::of(identity.pid)
    {
        group.kill();
    }
    if let Err(e) = std::fs::remove_file(note_path(folder, number))
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), number, error = %e, "cannot remove the note of an ended instance");
    }
}

async fn is_gone(identity: &Identity, within: Duration) -> bool {
    let until = Instant::now() + within;
    while identity.is_alive() {
        if Instant::now() >= until {
            return false;
        }
        sleep(Duration::from_millis(10)).await;
    }
    true
}

//! The gate process as seen by its agent: found by its socket, started when there is none, replaced when it is frozen.

use super::super::durable;
use super::GateParts;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_gate::order::{Order, Site, Word, socket_path};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A healthy gate answers within a millisecond; while it connects to the server it may be busy for half a second.
const ANSWER: Duration = Duration::from_millis(700);

/// Between two starts.
const START_AGAIN: Duration = Duration::from_millis(300);

pub(super) struct Process {
    parts: GateParts,
    site: Site,
    open: Option<BufReader<UnixStream>>,
    pid: Option<u32>,
    started: Option<Mono>,
    complained: bool,
}

impl Process {
    pub(super) fn new(parts: GateParts, site: Site) -> Self {
        Self { parts, site, open: None, pid: None, started: None, complained: false }
    }

    /// Says it, and returns the answer. A process that is not there is started and hears it soon; one that does not answer
    /// is ended, and replaced next time.
    pub(super) fn tell(&mut self, order: &Order) -> Option<Word> {
        let answered = self.exchange(order).or_else(|_| {
            self.open = None;
            self.exchange(order)
        });
        match answered {
            Ok(word) => {
                self.pid = Some(word.pid);
                self.complained = false;
                Some(word)
            }
            Err(e) => {
                self.open = None;
                self.replace(&e);
                None
            }
        }
    }

    fn exchange(&mut self, order: &Order) -> io::Result<Word> {
        if self.open.is_none() {
            self.open = Some(connect(&self.parts.folder, &self.site.socket)?);
            // It may have been started for an earlier plan: another port, password or lease.
            self.say(&Order::Stand { site: self.site.clone() })?;
        }
        self.say(order)
    }

    fn say(&mut self, order: &Order) -> io::Result<Word> {
        let stream = self.open.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        stream.get_mut().write_all(&line)?;
        let mut answer = String::new();
        stream.read_line(&mut answer)?;
        let word: Word = serde_json::from_str(&answer)?;
        if word.name != self.site.name {
            return Err(io::Error::other("another gate answers at the socket"));
        }
        Ok(word)
    }

    fn replace(&mut self, why: &io::Error) {
        let now = SystemClock.mono();
        if self.started.is_some_and(|at| now.since(at) < START_AGAIN) {
            return;
        }
        if let Some(pid) = self.pid.take().and_then(|p| i32::try_from(p).ok()).filter(|pid| self.is_gate(*pid)) {
            tracing::warn!(component = self.parts.component, pid, "the gate does not answer ({why}): replacing it");
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.started = Some(now);
        if let Err(e) = self.start()
            && !self.complained
        {
            self.complained = true;
            tracing::error!(component = self.parts.component, "PL-0335: the gate cannot be started: {e}");
        }
    }

    /// The number may belong to somebody else by now.
    fn is_gate(&self, pid: i32) -> bool {
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd"));
        folder.is_ok_and(|cwd| std::fs::canonicalize(&self.parts.folder).is_ok_and(|own| own == cwd))
    }

    fn start(&mut self) -> io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.parts.folder.join("gate.log"))?;
        let mut child = Command::new(&self.parts.program)
            .args(&self.parts.args)
            .current_dir(&self.parts.folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.pid = Some(child.id());
        if let Some(mut input) = child.stdin.take() {
            let mut site = serde_json::to_vec(&self.site)?;
            site.push(b'\n');
            input.write_all(&site)?;
        }
        // Reaped when it ends, so that no dead process is left of it.
        std::thread::Builder::new().name("gate-reaper".to_owned()).spawn(move || child.wait())?;
        // It answers at its socket within a few milliseconds.
        let until = SystemClock.mono() + START_AGAIN;
        let mut there = false;
        while !there && SystemClock.mono() < until {
            there = connect(&self.parts.folder, &self.site.socket).is_ok();
            if !there {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

fn connect(folder: &Path, socket: &str) -> io::Result<BufReader<UnixStream>> {
    let open = File::open(folder)?;
    let stream = UnixStream::connect(socket_path(folder, &open, socket))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    Ok(BufReader::new(stream))
}

/// The name of the folder's gate, made once: a server that waits for it still does after a restart of the agent, or of the
/// machine.
pub(super) fn name(folder: &Path) -> io::Result<String> {
    let file = folder.join("gate-name");
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let name = format!("pl_gate_{:012x}", RandomState::new().hash_one(file.as_os_str()) & 0xffff_ffff_ffff);
    durable::write(&file, name.as_bytes(), None)?;
    Ok(name)
}

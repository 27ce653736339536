//! Starting the server, detached from the agent: it lives on when the agent ends.

use super::PostgresDriver;
use super::directory::Directory;
use super::fence::Silence;
use super::look::Answer;
use super::processes;
use super::programs::tail;
use super::session;
use super::work::Work;
use nix::sys::signal::Signal;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::outcome::{Failure, Outcome};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

/// Between two looks whether the server has come up.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The server's log is moved aside at a start when it has grown over this.
const LOG_BYTES: u64 = 16 << 20;

impl PostgresDriver {
    /// Makes the copy the writer again after a stop or a death, as long as nobody else was promoted.
    pub(super) async fn resume_writes(&self, work: &Work<'_>) -> Result<Outcome, Failure> {
        let directory = self.directory();
        if processes::postmaster(&directory).is_some() {
            let answer = Answer::ask(&self.write, work.left().min(super::look::LOOK_TIMEOUT)).await;
            match answer.map_err(|e| e.failure("the running server cannot be asked what it is"))? {
                answer if !answer.recovering => {
                    self.settle_as_writer(&answer).await?;
                    return Ok(Outcome::Skipped { why: "it accepts writes already".to_owned() });
                }
                answer if self.upstream_of(&answer).is_some() || answer.streaming() => {
                    return Err(Failure::rejected("it is a standby; only a promotion makes it a writer"));
                }
                // A writer that somebody started without Pilotlight: all it has is its own.
                _ => return self.promote_in_place(work).await,
            }
        }
        self.is_whole(&directory)?;
        // Backends that outlived their postmaster would keep the new one from its shared memory, and acknowledge.
        let silence = self.silence(work.now() + work.left()).await?;
        let control = super::control::Control::of(&directory, &self.programs).await?;
        if self.marker().is_none() && !super::look::was_writer(&directory, &control) {
            return Err(Failure::rejected(format!("it was not the writer when it stopped ({})", control.state)));
        }
        let unsure = |e| Failure::unknown(format!("cannot change {}: {e}", directory.path().display()));
        directory.set(&self.writer_settings()).map_err(unsure)?;
        directory.disarm().map_err(unsure)?;
        remove_stale_pid_file(&directory, &silence).map_err(unsure)?;
        let started = self.start(&directory, work, |answer| !answer.recovering).await;
        // Armed again whatever came of it: what runs has read the file, what does not must not be started by others.
        directory.arm().map_err(unsure)?;
        started?;
        super::marker::Marker::clear(&self.state_dir, &self.component)?;
        Ok(Outcome::done_with(format!("started as a writer; it had been left {} ({})", control.state, silence.text)))
    }

    /// What a writer has in its configuration: no upstream, and no restart after a crash that nobody decided.
    pub(super) fn writer_settings(&self) -> Vec<(&'static str, String)> {
        vec![("primary_conninfo", String::new()), ("restart_after_crash", "off".to_owned())]
    }

    /// What must hold of a running writer: no upstream, `standby.signal` in its directory, no marker of a fence.
    pub(super) async fn settle_as_writer(&self, answer: &Answer) -> Result<(), Failure> {
        let directory = self.directory();
        if !directory.armed() || !answer.conninfo.is_empty() {
            let mut changed = false;
            for (name, value) in self.writer_settings() {
                if directory.setting(name).as_deref() != Some(value.as_str()) {
                    let sql = format!("ALTER SYSTEM SET {name} = {}", session::literal(&value));
                    let set = self.write.rows(&sql, Duration::from_secs(1), true).await;
                    set.map_err(|e| Failure::unknown(format!("it writes, but {name} cannot be set: {e}")))?;
                    changed = true;
                }
            }
            if changed {
                let reloaded = self.write.rows("SELECT pg_reload_conf()", Duration::from_secs(1), true).await;
                reloaded.map_err(|e| Failure::unknown(format!("it writes, but does not read its settings: {e}")))?;
            }
            directory.arm().map_err(|e| {
                let path = directory.path().display();
                Failure::unknown(format!("it writes, but standby.signal cannot be made in {path}: {e}"))
            })?;
        }
        super::marker::Marker::clear(&self.state_dir, &self.component)
    }

    /// Starts a stopped standby with the settings it has.
    pub(super) async fn start_again(&self, work: &Work<'_>) -> Result<(), Failure> {
        let directory = self.directory();
        // Backends that outlived their postmaster would keep the new one from its shared memory.
        let silence = self.silence(work.now() + work.left()).await?;
        let unsure = |e| Failure::transient(format!("cannot change {}: {e}", directory.path().display()));
        directory.arm().map_err(unsure)?;
        remove_stale_pid_file(&directory, &silence).map_err(unsure)?;
        self.start(&directory, work, |answer: &Answer| answer.recovering).await.map(|_| ())
    }

    /// Starts the server and waits until it answers as it should.
    pub(super) async fn start(
        &self,
        directory: &Directory,
        work: &Work<'_>,
        good: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Failure> {
        self.is_whole(directory)?;
        let version = directory.version();
        let mut command = self.programs.command("postgres", version.as_deref(), directory.path())?;
        command.env_remove("PGPASSWORD").args(self.command_line(directory)?);
        let (log, from) = self.open_log()?;
        let errors =
            log.try_clone().map_err(|e| Failure::transient(format!("the server log cannot be opened: {e}")))?;
        let mut server = command
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| Failure::rejected(format!("PL-0701: postgres does not start: {e}")))?;
        let mut seen = "nothing yet".to_owned();
        loop {
            if let Ok(Some(status)) = server.try_wait() {
                return Err(Failure::transient(format!("the server ended while it started: {status}"))
                    .output(self.log_since(from)));
            }
            let status = directory.pid_file().map_or_else(String::new, |file| file.status);
            if status == "ready" {
                match Answer::ask(&self.write, Duration::from_secs(1)).await {
                    Ok(answer) if good(&answer) => return Ok(answer),
                    Ok(answer) => seen = format!("it answers, recovering: {}", answer.recovering),
                    Err(error) => seen = error.to_string(),
                }
            } else if !status.is_empty() {
                seen = status;
            }
            let waited = work.pause(LOOK_AGAIN, "the server accepts connections", &|| seen.clone()).await;
            waited.map_err(|failure| failure.output(self.log_since(from)))?;
        }
    }

    /// Ends the server whatever it takes, giving it a moment to end in an orderly way.
    pub(super) async fn stop_for_rejoin(&self, work: &Work<'_>) -> Result<(), Failure> {
        if let Some((postmaster, _)) = processes::postmaster(&self.directory()) {
            processes::signal(postmaster, Signal::SIGINT);
            let until = work.now() + Duration::from_secs(5);
            while processes::lives(postmaster) && work.now() < until {
                work.pause(LOOK_AGAIN, "the server stops", &|| "it still runs".to_owned()).await?;
            }
        }
        self.silence(work.now() + work.left()).await.map(|_| ())
    }

    /// The file that takes what the server prints before its own log settings apply.
    pub(super) fn log_path(&self) -> PathBuf {
        self.state_dir.join(format!("{}-server.log", self.component))
    }

    fn open_log(&self) -> Result<(File, u64), Failure> {
        let path = self.log_path();
        let open = || {
            std::fs::create_dir_all(&self.state_dir)?;
            if std::fs::metadata(&path).is_ok_and(|m| m.len() > LOG_BYTES) {
                std::fs::rename(&path, path.with_extension("log.old"))?;
            }
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            let from = file.metadata()?.len();
            Ok((file, from))
        };
        open().map_err(|e: std::io::Error| Failure::transient(format!("cannot open {}: {e}", path.display())))
    }

    fn log_since(&self, from: u64) -> String {
        let read = || {
            let mut file = File::open(self.log_path())?;
            file.seek(SeekFrom::Start(from))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(text)
        };
        self.programs.redact(tail(&String::from_utf8_lossy(&read().unwrap_or_default())))
    }
}

/// PostgreSQL takes a dead postmaster that its parent has not reaped yet for a living one and refuses to start. The pid
/// file may go only because nothing of the directory was left a moment ago, and only if it is still the same file.
pub(super) fn remove_stale_pid_file(directory: &Directory, silence: &Silence) -> std::io::Result<()> {
    let proven = silence.assurance == FenceAssurance::Proven;
    if proven && silence.pid_file.is_some() && directory.pid_file() == silence.pid_file {
        super::durable::remove(&directory.path().join("postmaster.pid"))?;
    }
    Ok(())
}

//! The fence: after it no process of the data directory is left that could acknowledge a commit.
//!
//! The postmaster is killed first, so that nothing new is born; then everything that works in the directory; then the
//! shared memory must have nobody attached. Frozen processes die of SIGKILL too. Never a nice stop: it waits for
//! replicas, and a frozen one holds it up for ever (tried).

use super::PostgresDriver;
use super::directory::{Directory, PidFile};
use super::marker::{Marker, SilencedBy};
use super::processes::{self, Attached, Table};
use nix::sys::signal::Signal;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Output};
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_driver::Context;
use std::time::Duration;

/// Between two looks at processes that were killed; they need a few milliseconds to be torn down.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What a server that is not seen may take to answer at its address. One that is gone is answered for in microseconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// What was seen when nothing was left.
pub(super) struct Silence {
    /// How sure it is.
    pub(super) assurance: FenceAssurance,
    /// How many processes were killed.
    pub(super) killed: usize,
    /// What the assurance rests on.
    pub(super) text: String,
    /// The pid file that the last server left.
    pub(super) pid_file: Option<PidFile>,
}

impl PostgresDriver {
    /// Kills, proves, arms, notes.
    pub(super) async fn fence(&self, context: &Context) -> Result<Outcome, Failure> {
        let began = self.clock.mono();
        let deadline = began + context.deadline;
        // Work under way ends within milliseconds; what it may have started meanwhile falls to the second pass.
        self.desk.interrupt();
        let first = self.kill_all(deadline).await?;
        let context_for_turn = Context { deadline: deadline.since(self.clock.mono()), ..context.clone() };
        let _turn = self
            .desk
            .take_after_fence(&context_for_turn)
            .await
            .map_err(|failure| Failure::unknown(format!("killed, but not proven: {}", failure.message)))?;
        let second = self.silence(deadline).await?;
        let took = self.clock.mono().since(began);
        let killed = first.killed + second.killed;
        let directory = self.directory();
        if directory.holds_data() {
            directory.arm().map_err(|e| {
                Failure::unknown(format!(
                    "killed, but standby.signal cannot be made in {}: {e}",
                    directory.path().display()
                ))
            })?;
        }
        self.note(context, SilencedBy::Fence, second.assurance, None)?;
        let text = format!("killed {killed} processes in {}; {}", show_duration(took), second.text);
        let output = Output { assurance: Some(second.assurance), text, ..Output::default() };
        Ok(Outcome::Done { output })
    }

    /// Kills until nothing is left, asks whether a server answers all the same, and says how sure it is.
    pub(super) async fn silence(&self, deadline: Mono) -> Result<Silence, Failure> {
        let silence = self.kill_all(deadline).await?;
        match self.unseen_server(&self.directory(), ANSWERS_WITHIN).await {
            None => Ok(silence),
            Some(failure) if silence.killed == 0 => Err(failure),
            Some(failure) => Err(Failure { kind: FailureKind::OutcomeUnknown, ..failure }),
        }
    }

    /// Kills until nothing is left that can be seen.
    async fn kill_all(&self, deadline: Mono) -> Result<Silence, Failure> {
        let directory = self.directory();
        // Read before the kill: a later start would replace it.
        let file = directory.pid_file();
        if let Some((postmaster, _)) = processes::postmaster(&directory) {
            processes::signal(postmaster, Signal::SIGKILL);
        }
        let mut killed = std::collections::BTreeSet::new();
        loop {
            let table = processes::of(&directory);
            let attached = file.as_ref().map(processes::attached);
            if table.left.is_empty() && !matches!(attached, Some(Attached::Count(1..))) {
                return Ok(judge(&directory, &table, file, attached, killed.len()));
            }
            for proc in &table.left {
                processes::signal(*proc, Signal::SIGKILL);
                killed.insert(proc.pid);
            }
            if deadline.since(self.clock.mono()).is_zero() {
                return Err(not_silent(&directory, &table, attached.as_ref()));
            }
            self.clock.sleep(LOOK_AGAIN).await;
        }
    }

    /// Notes that the copy was silenced.
    pub(super) fn note(
        &self,
        context: &Context,
        by: SilencedBy,
        assurance: FenceAssurance,
        position: Option<pilotlight_core::position::Position>,
    ) -> Result<(), Failure> {
        let (component, epoch, at) = (self.component.clone(), context.epoch, self.clock.wall());
        Marker { component, epoch, by, assurance, at, position }.write(&self.state_dir)
    }
}

fn judge(
    directory: &Directory,
    table: &Table,
    pid_file: Option<PidFile>,
    attached: Option<Attached>,
    killed: usize,
) -> Silence {
    let (assurance, text) = match (attached, table.unreadable) {
        (Some(Attached::Count(_)), _) => {
            (FenceAssurance::Proven, "none is left, nothing is attached to its shared memory".to_owned())
        }
        (None, 0) => (FenceAssurance::Proven, "none is left, and no server has left a pid file".to_owned()),
        (None, unreadable) => {
            let why = format!("{unreadable} PostgreSQL processes of other accounts may not be looked into");
            (FenceAssurance::ConnectionsCut, format!("none is seen, but {why}"))
        }
        (Some(Attached::NotChecked(why)), _) => {
            (FenceAssurance::ConnectionsCut, format!("none is seen; shared memory was not checked: {why}"))
        }
    };
    tracing::info!(directory = %directory.path().display(), killed, %assurance, "silenced");
    Silence { assurance, killed, text, pid_file }
}

fn not_silent(directory: &Directory, table: &Table, attached: Option<&Attached>) -> Failure {
    let pids: Vec<String> = table.left.iter().map(|p| p.pid.to_string()).collect();
    let attached = match attached {
        Some(Attached::Count(n)) => format!(", {n} attached to its shared memory"),
        _ => String::new(),
    };
    Failure::unknown(format!("processes of {} do not die: {}{attached}", directory.path().display(), pids.join(" ")))
        .hint(
            "a process in uninterruptible sleep waits for its disk; take the machine away from its storage or network",
        )
}

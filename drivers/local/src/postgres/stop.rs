//! The orderly end of writing: everything that was acknowledged lies before the hand-over position.
//!
//! A fast shutdown, asked for by signal and watched every two milliseconds (`pg_ctl` looks ten times a second). The
//! server disconnects its clients, writes the shutdown checkpoint, and sends it to the replicas before it ends. A replica
//! that is frozen would hold it up: then the rest is killed once the checkpoint stands in the control file.

use super::PostgresDriver;
use super::control::Control;
use super::look::{Answer, LOOK_TIMEOUT};
use super::marker::SilencedBy;
use super::processes::{self, Proc};
use super::work::Work;
use nix::sys::signal::Signal;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::time::show_duration;
use pilotlight_driver::Context;
use std::time::Duration;

/// Between two looks at a stopping server: users are waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Kept back from the deadline for the forced end and its proof.
const RESERVE: Duration = Duration::from_secs(1);

impl PostgresDriver {
    /// Writes out what is in memory, so that the stop has little to do.
    pub(super) async fn checkpoint(&self, work: &Work<'_>) -> Result<Outcome, Failure> {
        let began = work.now();
        // On a connection of its own: it may take minutes, and sentinels go on meanwhile.
        let done = self.write.another().rows("CHECKPOINT", work.left(), true).await;
        done.map_err(|e| e.failure("the checkpoint"))?;
        Ok(Outcome::done_with(format!("checkpoint in {}", show_duration(work.now().since(began)))))
    }

    /// Stops, proves, arms, notes.
    pub(super) async fn stop_writes(&self, context: &Context, work: &Work<'_>) -> Result<Outcome, Failure> {
        let began = work.now();
        let directory = self.directory();
        let mut forced = false;
        let mut ran = false;
        if let Some((postmaster, _)) = processes::postmaster(&directory) {
            let answer = Answer::ask(&self.write, work.left().min(LOOK_TIMEOUT)).await;
            let asked =
                answer.map_err(|e| Failure::transient(format!("the server cannot be asked what it is: {e}")))?;
            if asked.recovering {
                return Err(Failure::rejected("it is a standby and has no writes to stop"));
            }
            processes::signal(postmaster, Signal::SIGINT);
            ran = true;
            forced = !self.watch_it_end(postmaster, work).await?;
        }
        // Whatever is left has no clients any more: the checkpoint tells whether it was done.
        let silence = self.silence(work.now() + work.left().max(RESERVE)).await?;
        let control = Control::of(&directory, &self.programs).await?;
        if !control.is_shut_down_writer() && !ran {
            let state = control.state;
            return Err(Failure::rejected(format!("it is not running, and was not left by an orderly end ({state})")));
        }
        if !control.is_shut_down_writer() {
            return Err(Failure::unknown(format!(
                "the server did not come to an orderly end ({}), so there is no hand-over position",
                control.state
            ))
            .hint("resume the writes, look for sessions or replicas that hold up a fast shutdown, then try again"));
        }
        let position = control.hand_over().position();
        let armed = directory.arm();
        armed.map_err(|e| Failure::unknown(format!("stopped, but standby.signal cannot be made: {e}")))?;
        self.note(context, SilencedBy::StopWrites, silence.assurance, Some(position.clone()))?;
        let text = format!("stopped in {} at {position}; {}", show_duration(work.now().since(began)), silence.text);
        let output = Output { position: Some(position), assurance: Some(silence.assurance), text, ..Output::default() };
        if forced {
            let warning = "a replica did not take the end in time and was cut off".to_owned();
            return Ok(Outcome::Warned { output, warning });
        }
        Ok(Outcome::Done { output })
    }

    /// Whether the postmaster ended by itself in its time.
    async fn watch_it_end(&self, postmaster: Proc, work: &Work<'_>) -> Result<bool, Failure> {
        let reserve = RESERVE.min(work.left() / 2);
        while processes::lives(postmaster) {
            if work.left() <= reserve {
                processes::signal(postmaster, Signal::SIGQUIT);
                return Ok(false);
            }
            work.pause(LOOK_AGAIN, "the server stops", &|| "it still runs".to_owned()).await?;
        }
        Ok(true)
    }
}

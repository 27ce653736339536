//! Programs of the user's, run to their end: their output is kept, and what was cut short is never called harmless.
//!
//! Border: it runs one command in one place; when and why is the runbook's business. Without a guard around it a key
//! would run again, so it is always used behind [`pilotlight_driver::guard::Guarded`].
//!
//! Invariants: nothing of a command that was given up is left running; no known secret is in what is handed on.

mod tail;

use crate::group::{Group, KillOnDrop};
use crate::redact::Redactor;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, CommandLine, Descriptor, Effect};
use pilotlight_core::id::{Application, Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Outcome, Severity};
use pilotlight_driver::{Context, Driver};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tail::Tail;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// Time a command that is given up has to clean up after itself.
const GRACE: Duration = Duration::from_secs(2);

/// After its end, a command's last words have this long to arrive; something it left running may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Runs commands in one place: a region's agent, or the controller.
#[derive(Debug, Clone)]
pub struct ExecDriver {
    /// Told to every command as `PILOTLIGHT_APPLICATION`.
    pub application: Application,
    /// Told to every command as `PILOTLIGHT_REGION`; none at the controller.
    pub region: Option<Region>,
    /// What must not be in any output.
    pub redactor: Redactor,
    /// Variables of our own environment that commands do not get, such as the controller's token.
    pub withheld: Vec<String>,
}

#[async_trait]
impl Driver for ExecDriver {
    fn describe(&self) -> Descriptor {
        Descriptor { needs_agent: self.region.is_some(), ..Descriptor::caller_checked(Capability::Command) }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        Err(Failure::unsupported(format!("{} runs commands; there is nothing to see", target.component)))
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let command = self.command(effect)?;
        Ok(missing_program(command, None, self.region.as_ref()).into_iter().collect())
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let command = self.command(effect)?;
        self.run(command, context).await
    }
}

impl ExecDriver {
    fn command<'a>(&self, effect: &'a Effect) -> Result<&'a CommandLine, Failure> {
        match effect {
            Effect::Command { command, .. } => Ok(command),
            other => Err(Failure::unsupported(format!("commands only, not {other:?}"))),
        }
    }

    async fn run(&self, command: &CommandLine, context: &Context) -> Result<Outcome, Failure> {
        let text = self.run_to_end(command, &told(context), context.deadline, &context.cancel).await?;
        Ok(Outcome::done_with(text))
    }

    /// Runs a command that changes nothing, as a probe. `Ok` holds its last line.
    pub async fn ask(&self, command: &CommandLine, at_most: Duration) -> Result<String, Failure> {
        let last = |text: &str| text.trim_end().lines().next_back().unwrap_or_default().to_owned();
        match self.run_to_end(command, &[], at_most, &CancellationToken::new()).await {
            Ok(text) => Ok(last(&text)),
            // It changed nothing, and may do better later.
            Err(f) => {
                let said = last(&f.output);
                let message = if said.is_empty() { f.message } else { format!("{}: {said}", f.message) };
                Err(Failure { kind: FailureKind::Transient, message, ..f })
            }
        }
    }

    async fn run_to_end(
        &self,
        command: &CommandLine,
        told: &[(&str, String)],
        deadline: Duration,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let name = command.argv.first().map_or("", String::as_str);
        let (mut child, output) = self.start(command, told).map_err(|e| {
            Failure::rejected(format!("cannot start {name}: {e}")).hint("is the program there, and may it be run?")
        })?;
        let group = child.id().and_then(Group::of);
        let on_drop = KillOnDrop::new(group);
        let mut tail = Tail::new(output, self.redactor.longest());
        let patience = deadline.saturating_sub((deadline / 10).min(GRACE));
        let ended = tokio::select! {
            ended = wait(&mut child, &mut tail) => Some(ended),
            () = tokio::time::sleep(patience) => None,
            () = cancel.cancelled() => None,
        };
        let Some(ended) = ended else {
            give_up(&mut child, group, (deadline / 10).min(GRACE)).await;
            drop(on_drop);
            return Err(self.cut_short(command, name, patience).output(tail.text(&self.redactor)));
        };
        // What a command leaves behind on purpose is the user's.
        on_drop.leave();
        let text = tail.text(&self.redactor);
        match ended {
            Ok(status) if status.success() => Ok(text),
            Ok(status) => Err(Failure::rejected(format!("{name} {}", how(status))).output(text)),
            Err(e) => Err(Failure::unknown(format!("cannot tell how {name} ended: {e}")).output(text)),
        }
    }

    fn start(&self, command: &CommandLine, told: &[(&str, String)]) -> io::Result<(Child, pipe::Receiver)> {
        let [program, arguments @ ..] = command.argv.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let (reader, writer) = io::pipe()?;
        let output = pipe::Receiver::from_owned_fd(reader.into())?;
        let mut prepared = tokio::process::Command::new(program);
        prepared.args(arguments).process_group(0).stdin(Stdio::null());
        prepared.stdout(writer.try_clone()?).stderr(writer);
        for name in &self.withheld {
            prepared.env_remove(name);
        }
        prepared.env("PILOTLIGHT_APPLICATION", self.application.as_str());
        if let Some(region) = &self.region {
            prepared.env("PILOTLIGHT_REGION", region.as_str());
        }
        prepared.envs(told.iter().map(|(name, value)| (*name, value)));
        prepared.envs(&command.env);
        Ok((prepared.spawn()?, output))
    }

    fn cut_short(&self, command: &CommandLine, name: &str, after: Duration) -> Failure {
        let said = format!("{name} was ended after {} without having come to its end", show(after));
        if command.idempotent {
            Failure::transient(said)
        } else {
            Failure::unknown(said).hint("look what it did before it is run again")
        }
    }
}

/// What a command is told of the run it belongs to.
fn told(context: &Context) -> Vec<(&'static str, String)> {
    let run = context.key.as_str().split_once('/').map(|(run, _)| ("PILOTLIGHT_RUN", run.to_owned()));
    let of_unit = [("PILOTLIGHT_UNIT", context.unit.to_string()), ("PILOTLIGHT_EPOCH", context.epoch.to_string())];
    of_unit.into_iter().chain(run).collect()
}

fn show(d: Duration) -> String {
    pilotlight_core::time::show_duration(d)
}

async fn wait(child: &mut Child, tail: &mut Tail) -> io::Result<ExitStatus> {
    let ended = tokio::select! {
        ended = child.wait() => ended,
        never = tail.read_for_ever() => match never {},
    };
    let _ = tokio::time::timeout(LAST_WORDS, tail.read_to_end()).await;
    ended
}

async fn give_up(child: &mut Child, group: Option<Group>, grace: Duration) {
    if let Some(group) = group {
        group.terminate();
        let _ = tokio::time::timeout(grace, child.wait()).await;
        group.kill();
    }
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not end well".to_owned(),
    }
}

/// A program that cannot be found is found out before it is needed. Several regions may miss it: each says for itself.
pub(crate) fn missing_program(
    command: &CommandLine,
    of: Option<&Component>,
    region: Option<&Region>,
) -> Option<Finding> {
    let program = command.argv.first().map_or("", String::as_str);
    let path = command.env.get("PATH").cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![PathBuf::from(program)],
        false => path.split(':').map(|dir| PathBuf::from(dir).join(program)).collect(),
    };
    let runnable = |p: &PathBuf| p.is_file() && nix::unistd::access(p, nix::unistd::AccessFlags::X_OK).is_ok();
    (program.is_empty() || !places.iter().any(runnable)).then(|| Finding {
        code: pilotlight_core::code::PROGRAM_MISSING.to_string(),
        severity: Severity::Blocker,
        message: format!(
            "there is no program {program:?}{} that can be run {}",
            of.map(|component| format!(" of {component}")).unwrap_or_default(),
            region.map_or("beside the controller".to_owned(), |region| format!("in {region}")),
        ),
        hint: "Install it, give its full path, or correct the command in the plan.".to_owned(),
    })
}

#[cfg(test)]
mod tests;

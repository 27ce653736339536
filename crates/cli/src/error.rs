//! The one error of the command line: text, hint and exit code come from it and from nowhere else.

use crate::command::moves;
use pilotlight_core::code::{self, Code};
use pilotlight_core::outcome::Finding;
use std::fmt::Display;
use std::process::ExitCode;

/// What the caller should do next, as an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It ran and failed, or did only a part of it.
    Failed = 1,
    /// The call or the plan is wrong.
    Usage = 2,
    /// A safety rule refused it, or a person did not confirm.
    Refused = 3,
    /// Something may have changed: look before trying again.
    Unknown = 4,
    /// A defect of Pilotlight.
    Bug = 70,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<pilotlight_core::code::Exit> for Exit {
    fn from(exit: pilotlight_core::code::Exit) -> Self {
        use pilotlight_core::code::Exit as Of;
        match exit {
            Of::Failed => Exit::Failed,
            Of::Usage => Exit::Usage,
            Of::Refused => Exit::Refused,
            Of::Unknown => Exit::Unknown,
            Of::Bug => Exit::Bug,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error on its way to the person at the terminal.
#[derive(Debug)]
pub(crate) struct CliError {
    /// What the caller should do.
    pub(crate) exit: Exit,
    /// A code of `pilotlight explain`.
    pub(crate) code: Option<String>,
    /// What happened, with its causes.
    pub(crate) cause: anyhow::Error,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// What else was found on the way.
    pub(crate) findings: Vec<Finding>,
}

impl CliError {
    /// An error with that exit code.
    pub(crate) fn new(exit: Exit, cause: impl Into<anyhow::Error>) -> Self {
        Self { exit, code: None, cause: cause.into(), hint: None, findings: Vec::new() }
    }

    /// An error that is only a sentence.
    pub(crate) fn say(exit: Exit, message: impl Display) -> Self {
        Self::new(exit, anyhow::anyhow!("{message}"))
    }

    /// Stdout takes no more: a full disk behind `>`, for example.
    pub(crate) fn unprintable(cause: std::io::Error) -> Self {
        if cause.kind() == std::io::ErrorKind::BrokenPipe {
            return cause.into();
        }
        Self::new(Exit::Failed, anyhow::Error::new(cause).context("the output cannot be written"))
            .code(code::FILE_NOT_WRITTEN.as_str())
            .hint("free space where the output goes, and ask again; what was done is done, only its words are lost")
    }

    /// An error that was shown in full already; only the exit code is left.
    pub(crate) fn told(exit: Exit) -> Self {
        Self::say(exit, "")
    }

    /// Adds the code.
    pub(crate) fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Nobody reads the output any more.
    pub(crate) fn is_reader_gone(&self) -> bool {
        self.cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Its code, or that of what has none of its own.
    pub(crate) fn catalogued(&self) -> String {
        self.code.clone().unwrap_or_else(|| of_exit(self.exit).to_string())
    }

    /// Prints it to stderr, the chain of causes once.
    pub(crate) fn print(&self) {
        let told = self.code.is_none() && self.cause.to_string().is_empty();
        if told {
            return;
        }
        let code = self.catalogued();
        eprintln!("error[{code}]: {:#}", self.cause);
        if let Some(hint) = &self.hint {
            eprintln!("  hint: {hint}");
        }
        for finding in &self.findings {
            eprintln!("{}", moves::told(finding));
        }
        eprintln!("  more: pilotlight explain {code}");
    }
}

/// The code of what has none of its own: what the machine refused, such as a thread, a client, a program of ours.
fn of_exit(exit: Exit) -> Code {
    match exit {
        Exit::Bug => code::DEFECT,
        Exit::Usage => code::COMMAND_LINE,
        _ => code::MACHINE,
    }
}

impl From<anyhow::Error> for CliError {
    fn from(cause: anyhow::Error) -> Self {
        Self::new(Exit::Failed, cause)
    }
}

impl From<std::io::Error> for CliError {
    fn from(cause: std::io::Error) -> Self {
        Self::new(Exit::Failed, cause)
    }
}

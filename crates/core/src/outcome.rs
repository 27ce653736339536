//! What became of an effect: the word that is journaled.

use crate::code::{self, Code};
use crate::effect::FenceAssurance;
use crate::id::{Epoch, Unit};
use crate::position::Position;
use crate::rescue::Bundle;
use serde::{Deserialize, Serialize};

/// An effect came back with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done { output: Output },
    /// It was so already; nothing was changed.
    Skipped { why: String },
    /// It was done, but a person should read this.
    Warned { output: Output, warning: String },
    /// It goes on by itself; ask again with the handle.
    Accepted { handle: String },
}

/// What an effect hands to later steps and to the report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Output {
    /// The hand-over position of a stop, the position reached of a promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// How sure a fence is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<FenceAssurance>,
    /// The rescue bundle that was made, or found made already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescue: Option<Box<Bundle>>,
    /// What the program printed or what else a person wants to see; secrets are already replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Outcome {
    /// Done with nothing to hand on.
    pub fn done() -> Self {
        Outcome::Done { output: Output::default() }
    }

    /// Done with a text for people.
    pub fn done_with(text: impl Into<String>) -> Self {
        Outcome::Done { output: Output { text: text.into(), ..Output::default() } }
    }

    /// What it hands on, if it is an end.
    pub fn output(&self) -> Option<&Output> {
        match self {
            Outcome::Done { output } | Outcome::Warned { output, .. } => Some(output),
            Outcome::Skipped { .. } | Outcome::Accepted { .. } => None,
        }
    }
}

/// Whether something may have changed decides what may be done next; retries look at nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Nothing changed, and the same call may work later.
    Transient,
    /// Nothing changed, and the same call will be refused again.
    Rejected,
    /// It may or may not have happened: look before doing anything.
    OutcomeUnknown,
    /// The other side was never reached; nothing changed.
    Unreachable,
    /// This driver does not do this.
    Unsupported,
}

/// An effect or a look failed. The message says only what this layer knows, lower case, no full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// May something have changed?
    pub kind: FailureKind,
    /// What happened, naming the thing.
    pub message: String,
    /// What a person could do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What the program printed; secrets are already replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, output: String::new() }
    }

    /// Nothing changed, may work later.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, message)
    }

    /// Nothing changed, will not work.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Rejected, message)
    }

    /// May have happened.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(FailureKind::OutcomeUnknown, message)
    }

    /// Never reached the other side.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unreachable, message)
    }

    /// Not this driver's work.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unsupported, message)
    }

    /// An order of a run that another has overtaken; nothing changed.
    pub fn stale(unit: &Unit, given: Epoch, newest: Epoch) -> Self {
        let code = code::STALE_EPOCH;
        Self::rejected(format!("{code}: epoch {given} of unit {unit} is older than epoch {newest}, which was seen here"))
            .hint("another run came after this one, or the store of the controller is not the one that it was: see `pilotlight run list`")
    }

    /// Adds what a person could do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The code at the head of the message, where a driver put one, and the rest of the message.
    pub fn coded(&self) -> (Option<Code>, &str) {
        let code = |head: &str| head.starts_with("PL-").then(|| Code::find(head)).flatten();
        match self.message.split_once(": ").and_then(|(head, rest)| Some((code(head)?, rest))) {
            Some((code, rest)) => (Some(code), rest),
            None => (None, &self.message),
        }
    }

    /// Message and hint on one line.
    pub fn with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }

    /// Adds what a program printed.
    #[must_use]
    pub fn output(mut self, output: impl Into<String>) -> Self {
        self.output = output.into();
        self
    }
}

/// How grave a finding of a preflight or a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Would make a failover slower or lossier.
    Warning,
    /// Would make it fail.
    Blocker,
}

/// Something that a later effect would stumble over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A code of `explain`, for example `PL-0404`.
    pub code: String,
    /// How grave.
    pub severity: Severity,
    /// What was found, naming the thing.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Finding {
    /// What could not be looked at: nothing says that an effect on it would work, so it stands in the way.
    pub fn unseen(what: &str, failure: &Failure) -> Self {
        let (code, message) = failure.coded();
        let hint = "mend what it says and ask again; nothing says that a move would work while this cannot be seen";
        Self {
            code: code.unwrap_or(code::NOT_SEEN).to_string(),
            severity: Severity::Blocker,
            message: format!("{what}: {message}"),
            hint: failure.hint.clone().unwrap_or_else(|| hint.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_stands_in_the_way_with_code_and_hint() {
        let coded = Failure::rejected("PL-0701: pg_controldata is not in /nowhere").hint("install it");
        let found = Finding::unseen("database in west", &coded);
        assert_eq!((found.code.as_str(), found.severity), ("PL-0701", Severity::Blocker));
        assert_eq!(found.message, "database in west: pg_controldata is not in /nowhere");
        assert_eq!((found.hint.as_str(), coded.with_hint().contains("; install it")), ("install it", true));
        for plain in ["the agent of west is silent", "PL-9999: no such code", "not at the head: PL-0701: x"] {
            let found = Finding::unseen("it", &Failure::unreachable(plain));
            assert_eq!((found.code.as_str(), found.message), ("PL-0860", format!("it: {plain}")));
            assert!(!found.hint.is_empty());
        }
    }
}

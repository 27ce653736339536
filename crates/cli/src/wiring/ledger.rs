//! Opening the guard's memory in a state folder, for the controller and for agents.

use crate::error::CliError;
use pilotlight_core::code;
use pilotlight_driver::guard::{Ledger, OpenError};
use std::path::Path;

/// Opens the memory in the folder of `whose`, such as `the agent`.
pub(super) fn open(folder: &Path, whose: &str) -> Result<Ledger, CliError> {
    Ledger::open(&folder.join("guard")).map_err(|e| {
        let (code, hint) = match &e {
            OpenError::InUse(_) => (code::STATE_IN_USE, "end the other process, or give this one a folder of its own"),
            OpenError::Damaged { .. } => {
                (code::JOURNAL_DAMAGED, "keep a copy, then restore the folder or begin with an empty one")
            }
            OpenError::Io { .. } => (code::FILE_NOT_WRITTEN, "may this account write there, and is there room?"),
        };
        let cause = anyhow::Error::new(e).context(format!("cannot use {whose}'s folder {}", folder.display()));
        CliError::new(code.exit().into(), cause).code(code.as_str()).hint(hint)
    })
}

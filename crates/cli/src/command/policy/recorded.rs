//! Reads a recording: one file, or the folder of them in order.

use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::code;
use pilotlight_core::recording::{FORMAT, Line, Scene};
use std::path::{Path, PathBuf};

/// No recording of ours is larger; a wrong file is not read into memory whole.
const MOST: u64 = 1 << 30;

/// What was read.
pub(super) struct Recorded {
    pub(super) application: String,
    /// The newest plan that decided.
    pub(super) plan: String,
    /// How many plans did.
    pub(super) plans: usize,
    pub(super) scenes: Vec<Scene>,
    /// Last lines that were cut off, as by a full disk or a power loss.
    pub(super) torn: usize,
}

pub(super) fn read(path: &Path) -> Result<Recorded, CliError> {
    let mut recorded =
        Recorded { application: String::new(), plan: String::new(), plans: 0, scenes: Vec::new(), torn: 0 };
    for file in files(path)? {
        let size = file.metadata().map(|m| m.len()).unwrap_or_default();
        if size > MOST {
            return Err(bad(&file, 1, "it is larger than any recording of a controller"));
        }
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()));
        recorded.add(&file, &text.map_err(unreadable)?, file != path)?;
    }
    if recorded.scenes.is_empty() {
        return Err(bad(path, 1, "it holds no observation"));
    }
    Ok(recorded)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()));
    let mut files: Vec<PathBuf> = entries.map_err(unreadable)?.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    Ok(files)
}

impl Recorded {
    /// A file that is one of several may have been begun in the moment of a power loss, so that not even its first line is whole.
    fn add(&mut self, file: &Path, text: &[u8], of_several: bool) -> Result<(), CliError> {
        let (whole, is_torn) = match text.strip_suffix(b"\n") {
            Some(whole) => (whole, false),
            None => (text, true),
        };
        let lines = if text.is_empty() { 0 } else { whole.split(|b| *b == b'\n').count() };
        for (index, line) in whole.split(|b| *b == b'\n').take(lines).enumerate() {
            let number = index + 1;
            // A letter may be cut in its middle, so lines are read as bytes.
            match serde_json::from_slice::<Line>(line) {
                Ok(Line::Head(head)) if head.format != FORMAT => {
                    let what = format!("it is of format {}, this version reads {FORMAT}", head.format);
                    return Err(bad(file, number, &what));
                }
                Ok(Line::Head(head)) => {
                    if !self.application.is_empty() && self.application != head.application.as_str() {
                        let what = format!("it is of {}, the files before of {}", head.application, self.application);
                        return Err(bad(file, number, &what));
                    }
                    self.application = head.application.to_string();
                    self.plans += usize::from(self.plan != head.plan);
                    self.plan = head.plan;
                }
                Ok(Line::Scene(_)) if self.application.is_empty() => {
                    return Err(bad(file, number, "its first line does not say whose recording it is"));
                }
                Ok(Line::Scene(scene)) => self.scenes.push(*scene),
                Err(_) if number == lines && is_torn && (number > 1 || of_several) => self.torn += 1,
                Err(e) => return Err(bad(file, number, &format!("it is no line of a recording: {e}"))),
            }
        }
        Ok(())
    }
}

fn bad(file: &Path, line: usize, what: &str) -> CliError {
    CliError::say(Exit::Usage, format!("{}:{line}: {what}", file.display()))
        .code(code::RECORDING_UNREADABLE.as_str())
        .hint("name a file of `observations` in the controller's state folder, or that folder")
}

fn unreadable(e: anyhow::Error) -> CliError {
    CliError::new(Exit::Usage, e)
        .code(code::RECORDING_UNREADABLE.as_str())
        .hint("name a file of `observations` in the controller's state folder, or that folder")
}

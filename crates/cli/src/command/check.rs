//! `pilotlight check PLAN`: every fault of a plan, or what the plan means.
//!
//! Touches nothing but the plan's file. What `--live` adds starts from the [`Plan`] that [`plan`] returns: it reaches
//! what the plan names through the drivers' preflight, which this module does not know.

mod fault;
mod view;

use pilotlight_core::code::{self, Code, Exit};
use pilotlight_core::plan::{Faults, Meaning, Plan, meaning};
use pilotlight_core::verdict::{Foresight, foresee};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Why there is no plan to go on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// The file cannot be read.
    #[error("cannot read the plan {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The plan has faults.
    #[error("{} {} in {}", faults.iter().count(), if faults.iter().count() == 1 { "fault" } else { "faults" }, path.display())]
    Faulty {
        path: PathBuf,
        /// The text, to show the lines the faults are in.
        text: String,
        faults: Faults,
    },
}

impl CheckError {
    /// The page of the first fault.
    pub(crate) fn code(&self) -> Code {
        match self {
            CheckError::Unreadable { .. } => code::PLAN_UNREADABLE,
            CheckError::Faulty { faults, .. } => faults.iter().next().map_or(code::PLAN_UNREADABLE, |f| f.code),
        }
    }
}

/// The plan in a file, with its paths made to start at the file's folder.
pub(crate) fn plan(path: &Path) -> Result<Plan, CheckError> {
    let bytes = read(path).map_err(|cause| CheckError::Unreadable { path: path.to_owned(), cause })?;
    let mut plan = Plan::read_bytes(&bytes, &path.display().to_string()).map_err(|faults| CheckError::Faulty {
        path: path.to_owned(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
        faults,
    })?;
    // Data directories and programs are handed to other processes, whose working folder is not ours.
    let folder = std::path::absolute(path).ok().and_then(|p| p.parent().map(Path::to_owned));
    plan.resolve_paths(&folder.unwrap_or_default());
    Ok(plan)
}

/// Not more than tells that it is too much: a device or a pipe may have no end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(Plan::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks the plan and shows the result: what it means on `out`, faults on `err`; as JSON always on `out`.
/// Says how the process ends if it does not end well.
pub(crate) fn run(path: &Path, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Option<Exit>> {
    let checked = plan(path);
    if json {
        view::write(path, &checked, out)?;
    } else {
        match &checked {
            Ok(plan) => show(path, plan, out)?,
            Err(error) => complain(error, err)?,
        }
    }
    Ok(checked.err().map(|e| e.code().exit()))
}

/// The JSON schema of plans, for editors.
pub(crate) fn schema(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(pilotlight_core::plan::schema().as_bytes())
}

/// Shows why there is no plan, like a compiler.
pub(crate) fn complain(error: &CheckError, err: &mut dyn Write) -> io::Result<()> {
    match error {
        CheckError::Unreadable { cause, .. } => {
            writeln!(err, "error[{}]: {error}: {cause}", error.code())?;
            writeln!(err, "  hint: name another file, or write a first one with `pilotlight init`")?;
        }
        CheckError::Faulty { text, faults, .. } => {
            for one in faults.iter() {
                fault::draw(one, faults, text, err)?;
            }
            writeln!(err, "{error}")?;
        }
    }
    writeln!(err, "  more: pilotlight explain {}", error.code())
}

fn show(path: &Path, plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let Meaning { objectives, policy, guarantee, unproven, components } = meaning(plan);
    let regions: Vec<&str> = plan.regions.iter().map(|r| r.as_str()).collect();
    writeln!(out, "{} has no fault. It means:\n", path.display())?;
    writeln!(out, "{} in {}, at home in {}", plan.application, regions.join(", "), plan.home)?;
    for (title, lines) in [("objectives", objectives), ("policy", policy), ("components", components)] {
        writeln!(out, "\n{title}")?;
        for line in lines {
            writeln!(out, "{}", wrapped("  - ", &line))?;
        }
    }
    let Foresight { starts, holds } = foresee(plan);
    for (title, lines) in [("what starts a move by itself, or asks a person to", starts), ("what holds still", holds)] {
        writeln!(out, "\n{title}")?;
        for line in lines {
            writeln!(out, "{}", wrapped("  - ", &line))?;
        }
    }
    writeln!(out, "\none writer\n{}\n\nwhat that leaves unproven", wrapped("  ", &guarantee))?;
    for line in unproven {
        writeln!(out, "{}", wrapped("  - ", &line))?;
    }
    Ok(())
}

/// A line cut at spaces so that it fits a terminal; what follows stands under the first word.
fn wrapped(mark: &str, text: &str) -> String {
    const WIDTH: usize = 79;
    let mut out = mark.to_owned();
    let mut column = mark.len();
    for (number, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if number > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(mark.len()));
            column = mark.len();
        } else if number > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

#[cfg(test)]
mod tests;

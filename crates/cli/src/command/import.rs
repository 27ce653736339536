//! `pilotlight import terraform`: a plan out of a state of Terraform.
//!
//! Border: reading and writing. What becomes of a state is decided in `pilotlight_core::terraform`. A folder is asked by
//! `terraform show`, which reads the state from where the configuration keeps it and changes nothing.

use super::init;
use crate::args::ImportTerraformArgs;
use crate::error::{CliError, Exit};
use pilotlight_core::code;
use pilotlight_core::terraform::import;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A state of a large account; more is a mistake or a device without an end.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// Why the state was not had.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} is larger than 256 MiB", .0.display())]
    TooLarge(PathBuf),
    #[error("cannot run terraform")]
    NotRun(#[source] io::Error),
    #[error("`terraform show -json` in {} failed: {said}", path.display())]
    Failed { path: PathBuf, said: String },
}

impl SourceError {
    fn hint(&self) -> &'static str {
        match self {
            SourceError::Unreadable { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                "name the folder of the configuration, a state file, or what `terraform show -json` printed"
            }
            SourceError::Unreadable { .. } => "may you read it, and is it text?",
            SourceError::TooLarge(_) => "is it a state at all? give what `terraform show -json` prints",
            SourceError::NotRun(_) => {
                "run `terraform show -json > state.json` where it is installed, and give that file instead"
            }
            SourceError::Failed { .. } => {
                "run that command by hand, after `terraform init`; or give a file with what it prints"
            }
        }
    }
}

/// Writes the plan and tells every finding.
pub(crate) fn terraform(args: &ImportTerraformArgs) -> Result<ExitCode, CliError> {
    let no_state = |e: SourceError| {
        let code = code::IMPORT_NO_STATE;
        let hint = e.hint();
        CliError::new(code.exit().into(), e).code(code.to_string()).hint(hint)
    };
    let json = read(&args.source).map_err(no_state)?;
    let imported = import(&json).map_err(|e| {
        let (code, hint) = (e.code(), e.hint());
        CliError::new(code.exit().into(), e).code(code.to_string()).hint(hint)
    })?;
    init::write(&args.plan, &imported.plan, args.force).map_err(|e| {
        let (code, hint) = (e.code(), e.hint());
        CliError::new(Exit::from(code.exit()), e).code(code.to_string()).hint(hint)
    })?;
    for gap in &imported.findings {
        eprintln!("finding[{}]: {}: {}\n  hint: {}", gap.code(), gap.place, gap.what, gap.hint);
    }
    let count = imported.findings.len();
    let findings = if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") };
    println!("wrote {0}, {findings}\nnext: look it over, then  pilotlight check {0}", args.plan.display());
    Ok(ExitCode::SUCCESS)
}

fn read(source: &Path) -> Result<String, SourceError> {
    if source.is_dir() {
        return show(source);
    }
    let unreadable = |cause| SourceError::Unreadable { path: source.to_owned(), cause };
    let mut text = String::new();
    let file = std::fs::File::open(source).map_err(unreadable)?;
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > MOST_BYTES {
        return Err(SourceError::TooLarge(source.to_owned()));
    }
    Ok(text)
}

fn show(folder: &Path) -> Result<String, SourceError> {
    let mut chdir = std::ffi::OsString::from("-chdir=");
    chdir.push(folder);
    let output = Command::new("terraform").arg(chdir).args(["show", "-json", "-no-color"]).output();
    let output = output.map_err(SourceError::NotRun)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| l.len() > 1).collect();
        return Err(SourceError::Failed { path: folder.to_owned(), said: lines.join(" ") });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

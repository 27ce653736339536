//! `pilotlight report`: fetches the report of a run from the controller, or makes it here with what the outside client saw.

mod felt;

use crate::args::ReportArgs;
use crate::command::run::named_or_newest;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use std::path::Path;
use std::process::ExitCode;

/// Writes report.html and report.json.
pub(crate) async fn run(args: &ReportArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan.plan)?;
    // What is wrong here is told without asking anybody.
    let requests = args.requests.as_deref().map(|path| Ok::<_, CliError>((path, felt::read(path)?))).transpose()?;
    writable(&args.output)?;
    let operator = Operator::of(&plan)?;
    let run = named_or_newest(&operator, args.run.as_deref()).await?;
    let make = || std::fs::create_dir_all(&args.output).map_err(|e| not_written(&args.output, e));
    if let Some((requests, lines)) = &requests {
        let report = felt::report(&plan, &operator, &run, (requests, lines)).await?;
        make()?;
        let written = report.write(&args.output);
        let page = written.map_err(|e| not_written(&e.path, e.cause))?;
        println!("{}\n{}", page.html.display(), page.json.display());
        return Ok(ExitCode::SUCCESS);
    }
    for name in ["report.html", "report.json"] {
        let text = operator.get_text(&format!("/v1/runs/{run}/{name}")).await?;
        make()?;
        let path = args.output.join(name);
        std::fs::write(&path, text).map_err(|e| not_written(&path, e))?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Tries whether the folder can be written, or made, and leaves nothing: what takes long is not begun for a report that
/// has no place.
pub(crate) fn writable(folder: &Path) -> Result<(), CliError> {
    let there = |path: &&Path| path.as_os_str().is_empty() || path.symlink_metadata().is_ok();
    let nearest = folder.ancestors().find(there).unwrap_or(folder);
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    tempfile::Builder::new()
        .prefix(".pilotlight-trial-")
        .tempfile_in(nearest)
        .and_then(tempfile::NamedTempFile::close)
        .map_err(|e| not_written(folder, e))
}

fn not_written(path: &Path, cause: std::io::Error) -> CliError {
    CliError::new(Exit::Failed, anyhow::Error::new(cause).context(format!("cannot write {}", path.display())))
        .code(code::FILE_NOT_WRITTEN.as_str())
        .hint("look at the folder: is it there, may you write to it, is there room?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_tried_and_nothing_is_left_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        for good in ["", "new", "new/and/deep"] {
            assert!(writable(&folder.path().join(good)).is_ok(), "{good}");
        }
        let refused = writable(&folder.path().join("file/below")).unwrap_err();
        assert_eq!(refused.code.as_deref(), Some("PL-0004"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left");
    }
}

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
    let operator = Operator::of(&plan)?;
    let run = named_or_newest(&operator, args.run.as_deref()).await?;
    if let Some(requests) = &args.requests {
        let report = felt::report(&plan, &operator, &run, requests).await?;
        writable(&args.output)?;
        let written = report.write(&args.output);
        let page = written.map_err(|e| not_written(&e.path, e.cause))?;
        println!("{}\n{}", page.html.display(), page.json.display());
        return Ok(ExitCode::SUCCESS);
    }
    writable(&args.output)?;
    for name in ["report.html", "report.json"] {
        let text = operator.get_text(&format!("/v1/runs/{run}/{name}")).await?;
        let path = args.output.join(name);
        std::fs::write(&path, text).map_err(|e| not_written(&path, e))?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the folder and tries it, so that what takes long is not begun for a report that has no place.
pub(crate) fn writable(folder: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|e| not_written(folder, e))?;
    let trial = folder.join(".pilotlight-trial");
    std::fs::write(&trial, "a trial").and_then(|()| std::fs::remove_file(&trial)).map_err(|e| {
        let _ = std::fs::remove_file(&trial);
        not_written(folder, e)
    })
}

fn not_written(path: &Path, cause: std::io::Error) -> CliError {
    CliError::new(Exit::Failed, anyhow::Error::new(cause).context(format!("cannot write {}", path.display())))
        .code(code::FILE_NOT_WRITTEN.as_str())
        .hint("look at the folder: is it there, may you write to it, is there room?")
}

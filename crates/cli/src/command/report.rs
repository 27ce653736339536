//! `pilotlight report`: fetches the report of a run from the controller.

use crate::args::ReportArgs;
use crate::command::run::named_or_newest;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use anyhow::Context;
use std::process::ExitCode;

/// Writes report.html and report.json.
pub(crate) async fn run(args: &ReportArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan.plan)?;
    let operator = Operator::of(&plan)?;
    let run = named_or_newest(&operator, args.run.as_deref()).await?;
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot make the folder {}", args.output.display()))
        .map_err(|e| CliError::new(Exit::Usage, e))?;
    for name in ["report.html", "report.json"] {
        let text = operator.get_text(&format!("/v1/runs/{run}/{name}")).await?;
        let path = args.output.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

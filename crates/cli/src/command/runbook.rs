//! `pilotlight runbook show`: what a move would do, derived from what is observed now.

use crate::args::misuse::REJOIN_TAKES;
use crate::args::{MoveVerb, RunbookFormat, RunbookShowArgs};
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::placement::Verb;
use pilotlight_core::runbook::Runbook;
use std::process::ExitCode;

/// Shows it.
pub(crate) async fn show(args: &RunbookShowArgs) -> Result<ExitCode, CliError> {
    if args.verb == MoveVerb::Rejoin && args.to.is_some() {
        let hint = format!("did you mean `pilotlight runbook show rejoin`? {REJOIN_TAKES}");
        let error = CliError::say(Exit::Usage, "a rejoin goes to no region, so it takes no `--to`");
        return Err(error.code(code::COMMAND_LINE.as_str()).hint(hint));
    }
    let plan = connect::read_plan(&args.plan.plan)?;
    let to = args.to.as_deref().map(|to| connect::region(&plan, to)).transpose()?;
    let operator = Operator::of(&plan)?;
    let target = to.map(|to| format!("&target={to}")).unwrap_or_default();
    let verb = Verb::from(args.verb);
    let runbook: Runbook = operator.get(&format!("/v1/runbook?verb={verb}{target}")).await?;
    match args.format {
        RunbookFormat::Text => print!("{}", runbook.to_text()),
        RunbookFormat::Markdown => print!("{}", runbook.to_markdown()),
        RunbookFormat::Graph => print!("{}", runbook.to_mermaid()),
        RunbookFormat::Dot => print!("{}", runbook.to_dot()),
        RunbookFormat::Json => {
            let text = serde_json::to_string_pretty(&runbook).map_err(|e| CliError::new(Exit::Bug, e))?;
            println!("{text}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

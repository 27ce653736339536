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
    let named = region_of(args)?;
    let plan = connect::read_plan(&args.plan.plan)?;
    let region = named.map(|name| connect::region(&plan, name)).transpose()?;
    let unit = connect::unit(&plan, args.unit.as_deref())?;
    let operator = Operator::of(&plan)?;
    let target = region.map(|region| format!("&target={region}")).unwrap_or_default();
    let verb = Verb::from(args.verb);
    let runbook: Runbook = operator.get(&format!("/v1/runbook?verb={verb}&unit={unit}{target}")).await?;
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

/// The region that the move is about, under the option that its verb has.
fn region_of(args: &RunbookShowArgs) -> Result<Option<&str>, CliError> {
    let (what, hint) = match (args.verb, &args.to, &args.from) {
        (MoveVerb::Drain, None, from) => return Ok(from.as_deref()),
        (MoveVerb::Failover | MoveVerb::Switchover | MoveVerb::Failback, to, None) => return Ok(to.as_deref()),
        (MoveVerb::Rejoin, None, None) => return Ok(None),
        (MoveVerb::Rejoin, ..) => (
            "a rejoin goes to no region and from none, so it takes neither `--to` nor `--from`",
            format!("did you mean `pilotlight runbook show rejoin`? {REJOIN_TAKES}"),
        ),
        (MoveVerb::Drain, ..) => (
            "a drain goes to no region, so it takes no `--to`",
            "did you mean `pilotlight runbook show drain --from REGION`?".to_owned(),
        ),
        _ => (
            "the writer is moved from where it is, so this takes no `--from`",
            "name the region it is to move to, with `--to REGION`".to_owned(),
        ),
    };
    Err(CliError::say(Exit::Usage, what).code(code::COMMAND_LINE.as_str()).hint(hint))
}

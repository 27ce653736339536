//! The verbs that need neither a controller nor a runtime: init, check, explain.

use super::{check, explain, init};
use crate::args::{CheckArgs, ExplainArgs, InitArgs};
use crate::error::CliError;
use std::io;
use std::process::ExitCode;

/// `pilotlight init`.
pub(crate) fn init(args: &InitArgs) -> Result<ExitCode, CliError> {
    let request = init::Request { plan: args.plan(), force: args.force };
    match init::run(&request, &mut io::stdout()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(e) => {
            let (code, hint) = (e.code(), e.hint());
            Err(CliError::new(code.exit().into(), e).code(code.to_string()).hint(hint))
        }
    }
}

/// `pilotlight check` without `--live`.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    if args.schema {
        check::schema(&mut io::stdout()).map_err(CliError::unprintable)?;
        return Ok(ExitCode::SUCCESS);
    }
    let bad =
        check::run(args.plan(), args.json, &mut io::stdout(), &mut io::stderr()).map_err(CliError::unprintable)?;
    Ok(bad.map_or(ExitCode::SUCCESS, |exit| crate::error::Exit::from(exit).into()))
}

/// `pilotlight explain`.
pub(crate) fn explain(args: &ExplainArgs) -> Result<ExitCode, CliError> {
    let Some(asked) = args.code.as_deref().filter(|_| !args.list) else {
        explain::list(&mut io::stdout()).map_err(CliError::unprintable)?;
        return Ok(ExitCode::SUCCESS);
    };
    match explain::page(asked) {
        Ok(page) => {
            print!("{page}");
            Ok(ExitCode::SUCCESS)
        }
        Err(e) => {
            let (code, hint) = (e.code(), e.hint());
            Err(CliError::new(code.exit().into(), e).code(code.to_string()).hint(hint))
        }
    }
}

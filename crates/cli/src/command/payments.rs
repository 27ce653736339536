//! `pilotlight payments`: the payments service of the demo, as a process of its own.

use crate::args::PaymentsArgs;
use crate::connect;
use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::plan::SecretRef;
use pilotlight_lab::payments::{Settings, serve};
use std::process::ExitCode;

/// Serves until the process is ended.
pub(crate) async fn run(args: PaymentsArgs) -> Result<ExitCode, CliError> {
    let listen = args.listen;
    let password = match args.password_file {
        Some(file) => Some(connect::secret(&SecretRef::File(file))?),
        None => None,
    };
    serve(Settings { listen, region: args.region, dsn: args.dsn, password })
        .await
        .with_context(|| format!("the payments service cannot serve on {listen}"))
        .map_err(|e| CliError::new(Exit::Failed, e))?;
    Ok(ExitCode::SUCCESS)
}

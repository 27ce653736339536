//! `pilotlight dns`: the built-in authority, a process of its own.

use crate::args::DnsArgs;
use crate::command::interrupt;
use crate::connect;
use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::plan::SecretRef;
use pilotlight_dns::{Authority, AuthorityParts, TlsFiles};
use std::process::ExitCode;

/// Answers until it is told to stop.
pub(crate) async fn run(args: &DnsArgs) -> Result<ExitCode, CliError> {
    crate::command::log_to_stderr();
    let token = connect::secret(&SecretRef::Env(args.token_env.clone()))?;
    let tls = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.clone(), key: key.clone() }),
        _ => None,
    };
    let running = Authority::start(AuthorityParts {
        listen: args.listen,
        control: args.control,
        state_dir: args.state.clone(),
        zones: vec![args.zone.clone()],
        token,
        tls,
    })
    .await
    .context("cannot start the DNS server")
    .map_err(|e| CliError::new(Exit::Failed, e).code("PL-0404"))?;
    tracing::info!(dns = %running.dns_addr, control = %running.control_addr, zone = %args.zone, "answering");
    let stop = running.shutdown.clone();
    tokio::select! {
        ended = running.wait() => ended.context("the DNS server has ended")?,
        () = interrupt() => stop.cancel(),
    }
    Ok(ExitCode::SUCCESS)
}

//! `pilotlight dns`: the built-in authority, a process of its own.

use crate::args::DnsArgs;
use crate::command::interrupt;
use crate::connect;
use crate::error::CliError;
use anyhow::Context;
use pilotlight_core::code;
use pilotlight_core::plan::SecretRef;
use pilotlight_dns::{Authority, AuthorityParts, OpenError, StartError, TlsFiles};
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
    .map_err(refused)?;
    tracing::info!(dns = %running.dns_addr, control = %running.control_addr, zone = %args.zone, "answering");
    let stop = running.shutdown.clone();
    tokio::select! {
        ended = running.wait() => ended.context("the DNS server has ended")?,
        () = interrupt() => stop.cancel(),
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(e: StartError) -> CliError {
    let (code, hint) = match &e {
        StartError::Listen { source, .. } => connect::cannot_listen(source),
        StartError::Open(OpenError::InUse(_)) => {
            (code::STATE_IN_USE, "end the other authority, or give this one a folder of its own")
        }
        StartError::Open(OpenError::Folder { .. }) => (code::FILE_NOT_WRITTEN, "may this account write there?"),
        StartError::Open(OpenError::Unreadable { .. }) => {
            (code::JOURNAL_DAMAGED, "restore the file, or remove it: the controller publishes anew with the next move")
        }
        StartError::Tls { .. } | StartError::InTheOpen(_) => (code::PLAN_TLS, "see --certificate and --key"),
        StartError::NoZone | StartError::Zone { .. } => {
            (code::COMMAND_LINE, "name the zone that answers are given for, for example --zone shop.example")
        }
        StartError::NoToken => (code::SECRET_MISSING, "see --token-env"),
    };
    let cause = anyhow::Error::new(e).context("cannot start the DNS authority");
    CliError::new(code.exit().into(), cause).code(code.as_str()).hint(hint)
}

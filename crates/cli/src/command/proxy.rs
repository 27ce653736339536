//! `pilotlight proxy`: lets clients through to one server while its agent says so; started by the agent.

use crate::args::ProxyArgs;
use crate::connect;
use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_local::connections::proxy::{Proxy, descriptors};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::ExitCode;

/// Runs until it is told to end. No runtime: one thread, so that nothing else can hold it up.
pub(crate) fn run(args: &ProxyArgs) -> Result<ExitCode, CliError> {
    super::log_to_stderr();
    match descriptors::raise() {
        Ok(clients) => {
            tracing::info!(listen = %args.listen, clients, "the proxy has started, with descriptors for so many");
        }
        Err(e) => tracing::warn!("the limit of open files cannot be raised: {e}"),
    }
    let listener = TcpListener::bind(args.listen).map_err(|e| {
        let (code, hint) = connect::cannot_listen(&e);
        let e = anyhow::Error::new(e).context(format!("the proxy cannot listen on {}", args.listen));
        CliError::new(Exit::Failed, e).code(code.as_str()).hint(hint)
    })?;
    let proxy = orders(&args.orders)
        .and_then(|orders| Proxy::new(listener, orders, args.server, || SystemClock.mono()))
        .with_context(|| format!("the proxy cannot take orders at {}", args.orders.display()))?;
    proxy.run().context("the proxy has ended")?;
    let _ = std::fs::remove_file(&args.orders);
    Ok(ExitCode::SUCCESS)
}

/// Whoever may write there can open the server to clients: only our own account.
fn orders(path: &Path) -> std::io::Result<UnixDatagram> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let orders = UnixDatagram::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(orders)
}

//! The verbs, one file each.

pub(crate) mod acknowledge;
pub(crate) mod agent;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod check_live;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod dns;
pub(crate) mod explain;
pub(crate) mod gate;
pub(crate) mod hold;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod measure;
pub(crate) mod moves;
pub(crate) mod observe;
pub(crate) mod offline;
pub(crate) mod payments;
pub(crate) mod policy;
pub(crate) mod proxy;
pub(crate) mod report;
pub(crate) mod rescue;
pub(crate) mod run;
pub(crate) mod runbook;
pub(crate) mod safety;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod watch;

use tokio::signal::unix::{SignalKind, signal};

/// Returns when somebody asks this process to end (SIGINT or SIGTERM).
pub(crate) async fn interrupt() {
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}

/// The same for what a person looks at: when its terminal closes (SIGHUP) it ends too and leaves nothing behind.
pub(crate) async fn interrupt_or_hangup() {
    tokio::select! {
        () = interrupt() => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

async fn wait(kind: SignalKind) {
    match signal(kind) {
        Ok(mut stream) => {
            stream.recv().await;
        }
        // Without a handler the signal ends the process, which is what is asked for.
        Err(_) => std::future::pending().await,
    }
}

/// Logs of the long-running verbs: to stderr, `PILOTLIGHT_LOG=debug` for more, `PILOTLIGHT_LOG_FORMAT=json` for machines.
pub(crate) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PILOTLIGHT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,hickory_server=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let json = std::env::var("PILOTLIGHT_LOG_FORMAT").is_ok_and(|f| f == "json");
    // A second call in one process changes nothing; only the first is wanted.
    let _ = if json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
}

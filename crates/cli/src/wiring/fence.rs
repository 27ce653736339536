//! The fence around the clients of a database, as the plan wants it.

use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::code;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::plan::{ConnectionFence, Kind, Plan, PostgresPlan, PostgresServer};
use pilotlight_driver::clock::SystemClock;
use pilotlight_driver::gate::Gate;
use pilotlight_local::connections::{
    KernelGate, KernelLease, ProxyGate, ProxyParts, Standing, StandingError, settle, settle_others,
};
use pilotlight_local::postgres::beside;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

/// Takes away the fences of components that have no server in this region any more.
pub(super) fn lift_others(plan: &Plan, region: &Region, state_dir: &Path) {
    let kept = |name: &str| {
        let component = plan.components.get(&Component::from(name)).map(|component| &component.kind);
        matches!(component, Some(Kind::Postgres(postgres)) if postgres.regions.contains_key(region))
    };
    settle_others(state_dir, kept, "nft").into_iter().for_each(|(component, e)| not_settled(&component, e));
}

/// The agent has to run for the lease, whatever stands here.
fn not_settled(component: &str, e: StandingError) {
    tracing::error!(component, "{}: {:#}", code::NO_KERNEL_FENCE, anyhow::Error::new(e));
}

/// The fence of one server; nothing when the plan wants none. One that cannot be had is an error: whoever asked for it
/// relies on it.
pub(super) fn of(
    name: &Component,
    region: &Region,
    postgres: &PostgresPlan,
    server: &PostgresServer,
    state_dir: &Path,
) -> Result<Option<Arc<dyn Gate>>, CliError> {
    let folder = state_dir.join(name.as_str());
    let settled = |wanted| {
        let done = settle(&folder, name.as_str(), wanted, "nft");
        done.unwrap_or_else(|e| not_settled(name.as_str(), e));
    };
    match postgres.connection_fence {
        ConnectionFence::None => {
            settled(None);
            Ok(None)
        }
        ConnectionFence::Kernel => {
            let lease = KernelLease::new(name.as_str(), server.port, peers(region, postgres));
            lease.check().map_err(|e| {
                CliError::new(Exit::Failed, anyhow::Error::new(e).context("the kernel cannot fence the connections"))
                    .code(code::NO_KERNEL_FENCE.as_str())
                    .hint("run the agent as root, install nftables, or choose another `connection_fence`")
            })?;
            settled(Some(Standing::Kernel(server.port)));
            let gate = KernelGate::start(lease, name.as_str(), Arc::new(SystemClock));
            Ok(Some(Arc::new(gate.context("cannot start the fence of the connections")?)))
        }
        ConnectionFence::Proxy => {
            let parts = parts(name, server, &folder)?;
            settled(Some(Standing::Proxy(parts.listen, parts.server)));
            let gate = ProxyGate::new(parts, name.as_str()).context("cannot prepare the proxy")?;
            Ok(Some(Arc::new(gate)))
        }
    }
}

fn parts(name: &Component, server: &PostgresServer, folder: &Path) -> Result<ProxyParts, CliError> {
    let host = beside(server);
    let mut addresses = (host.as_str(), server.port)
        .to_socket_addrs()
        .with_context(|| format!("the host `{host}` of {name} has no address"))?;
    Ok(ProxyParts {
        program: std::env::current_exe().context("cannot find this program")?,
        listen: server.proxy.context("the plan was checked to name an address for each proxy")?,
        server: addresses.next().with_context(|| format!("the host `{host}` of {name} has no address"))?,
        folder: folder.to_owned(),
    })
}

/// The addresses of the other regions' servers, which follow this one.
fn peers(region: &Region, postgres: &PostgresPlan) -> Vec<IpAddr> {
    let others = postgres.regions.iter().filter(|(other, _)| *other != region);
    others
        .flat_map(|(other, server)| {
            let found = (server.host.as_str(), server.port).to_socket_addrs();
            if let Err(e) = &found {
                tracing::warn!(region = %other, host = server.host, "its copy cannot follow through the fence: {e}");
            }
            found.into_iter().flatten().map(|address| address.ip())
        })
        .collect()
}

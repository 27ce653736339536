//! Every process of the writer's region is killed; seen at PostgreSQL level and through the name.

use super::pair::{self, Pair, SMALL_BUFFERS};
use super::series::{Series, ms};
use crate::demo::plan::{Controllers, Settings, TTL_SECONDS, service_url};
use crate::demo::{DemoError, figures};
use pilotlight_core::measure;
use pilotlight_core::plan::ConnectionFence;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::measure::{Client, ClientParts};
use pilotlight_lab::net::{Place, Want};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Requests so long before the loss belong to it.
const BEFORE: Duration = Duration::from_millis(500);

/// At PostgreSQL level: a tenth of the lease and half a second over the lease.
fn bound(lease: Duration) -> Duration {
    lease.mul_f64(1.1) + Duration::from_millis(500)
}

/// Measures `runs` losses of a region under a guarantee. Two series: PostgreSQL level, and through the name.
pub(crate) async fn measure(
    runs: u32,
    guarantee: &'static str,
    lease: Duration,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<[Series; 2], DemoError> {
    let mut pair = Pair::start(Settings {
        lease: format!("{}ms", lease.as_millis()),
        rpo: "5s",
        on_postmaster_death: "restart",
        guarantee,
        rate: 100,
        rows: false,
        shared_buffers: SMALL_BUFFERS,
        net: Want::Plain,
        controllers: Controllers::One,
        shares: None,
        fence: ConnectionFence::None,
    })
    .await?;
    let around = lease + Duration::from_secs(3);
    let (mut database_ms, mut name_ms, mut lost) = (Vec::new(), Vec::new(), 0);
    for run in 1..=runs {
        let victim = pair.writer();
        let client = start_client(&mut pair).await?;
        let writer = pair.write().await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let at = SystemClock.mono();
        pair.stage().kill_region(victim);
        tokio::time::sleep(around).await;
        let (log, requests) = (writer.stop().await, client.stop().await);
        pair.stage().start_agent(victim)?;
        pair.settle().await?;
        lost += pair::lost(&log, &pair.database()).await?;
        // From before the loss: the gap begins with the last good answer.
        let before = Mono(at.0.saturating_sub(BEFORE));
        let samples = figures::between(&requests.samples, before, SystemClock.mono());
        let through_name = measure::traffic(&samples).longest_gap_ms.unwrap_or_default();
        progress(&format!(
            "region killed {run}/{runs}: {:.0} ms at PostgreSQL level, {:.0} ms through the name",
            ms(log.longest_gap(at)),
            ms(through_name)
        ));
        database_ms.push(ms(log.longest_gap(at)));
        name_ms.push(ms(through_name));
    }
    pair.close();
    let more = Duration::from_secs(u64::from(TTL_SECONDS)) + Duration::from_millis(300);
    let series = |name: &str, outage_ms, bound: Duration, target: &str| {
        Series::within(bound, target, format!("{name}, lease {} s", lease.as_secs_f64()), outage_ms, lost)
    };
    Ok([
        series("region killed, PostgreSQL level", database_ms, bound(lease), "at most 1.1 x lease + 0.5 s"),
        series("region killed, through the name", name_ms, bound(lease) + more, "at most TTL + 0.3 s more"),
    ])
}

async fn start_client(pair: &mut Pair) -> Result<pilotlight_engine::measure::ClientHandle, DemoError> {
    let stage = pair.stage();
    let parts = ClientParts {
        url: format!("{}/pay", service_url(&stage.sites)),
        dns_server: SocketAddr::new(stage.net.address(Place::Third), stage.sites.dns_port),
        rate: 100,
        timeout: Duration::from_secs(1),
        log_path: stage.folder().join("client.jsonl"),
        keep: 100_000,
        clock: Arc::new(SystemClock),
    };
    Client::start(parts).await.map_err(|e| DemoError::at("the outside client", std::io::Error::other(e)))
}

//! What a controller that has nothing to do holds in memory: the one of a healthy pair, as the kernel counts it.

use super::figure::Figure;
use super::pair::{Pair, SMALL_BUFFERS};
use super::rounds;
use crate::demo::DemoError;
use std::time::Duration;

/// Most that it may hold, in MiB.
const MOST: f64 = 64.0;
/// Before the first look: the start is over.
const SETTLES: Duration = Duration::from_secs(5);
/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Looks `looks` times.
pub(crate) async fn measure(
    looks: u32,
    guarantee: &'static str,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Figure, DemoError> {
    let mut pair = Pair::start(rounds::settings(guarantee, "restart", SMALL_BUFFERS)).await?;
    tokio::time::sleep(SETTLES).await;
    let mut held = Vec::new();
    for look in 1..=looks {
        tokio::time::sleep(EVERY).await;
        let Some(pid) = pair.stage().controller_pid() else { break };
        let now = resident(pid).map_err(|e| DemoError::at("the controller's memory", e))?;
        progress(&format!("idle controller {look}/{looks}: {now:.1} MiB"));
        held.push(now);
    }
    pair.close();
    Ok(Figure::at_most("idle controller, resident memory", &held, MOST).mebibytes())
}

/// `VmRSS` of a process, in MiB.
fn resident(pid: i32) -> std::io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| std::io::Error::other("the kernel does not say VmRSS"))
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_something() {
        let held = super::resident(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(held > 1.0 && held < 100_000.0, "{held}");
    }
}

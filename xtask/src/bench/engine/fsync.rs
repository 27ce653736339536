//! What an fsync costs on a file system while something else goes on there.

use anyhow::{Context, ensure};
use pilotlight_driver::clock::{Clock, SystemClock};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Often enough for some dozens of samples a second, seldom enough to leave the disk to what is measured.
const PAUSE: Duration = Duration::from_millis(20);

/// Appends four kilobytes and waits until they are on the disk, again and again until `work` is done. Returns what the
/// work gave and what one took on average: the work pays for each of its own, the slow ones included.
pub(super) async fn beside<T>(folder: &Path, work: impl Future<Output = T>) -> anyhow::Result<(T, Duration)> {
    let mut file = File::create(folder.join("fsync")).context("creating a file to time fsync")?;
    let mut took = Vec::new();
    let sample = async {
        loop {
            SystemClock.sleep(PAUSE).await;
            let done = tokio::task::spawn_blocking(move || {
                let began = SystemClock.mono();
                let written = file.write_all(&[7; 4_096]).and_then(|()| file.sync_all());
                written.map(|()| (file, SystemClock.mono().since(began)))
            });
            match done.await.map_err(std::io::Error::other).flatten() {
                Ok((back, sample)) => {
                    file = back;
                    took.push(sample);
                }
                Err(failed) => return failed,
            }
        }
    };
    let done = tokio::select! {
        done = work => done,
        failed = sample => return Err(failed).context("timing fsync"),
    };
    ensure!(!took.is_empty(), "the work was over before one fsync could be timed");
    let count = u32::try_from(took.len()).context("too many samples")?;
    Ok((done, took.iter().sum::<Duration>() / count))
}

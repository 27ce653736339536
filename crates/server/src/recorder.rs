//! Keeps what the controller saw and decided, for `pilotlight policy replay`: files of lines in a folder, bounded in size and
//! age, the oldest going first.
//!
//! Border: nothing waits for it and nothing rests on it. Lines go through a short queue to a task that writes; when the disk
//! is slow or full, lines are dropped and the log says so once. What a full disk took only in part is taken back, so that
//! no file is without a whole line.

use pilotlight_core::plan::{Plan, Recording};
use pilotlight_core::recording::{FORMAT, Head, Line, Scene};
use pilotlight_core::time::{Mono, stamp};
use pilotlight_core::verdict::Verdict;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Lines that may wait for the disk: some seconds of an outage.
const QUEUE: usize = 64;

/// While something is wrong, how often a line is kept although nothing changes: figures such as lags count then.
const UNWELL: Duration = Duration::from_millis(500);

/// So many files share the size; one of them goes at a time.
const FILES: u64 = 8;

/// Where to record, and under which plan.
#[derive(Debug, Clone)]
pub struct RecordingTo {
    /// The folder.
    pub folder: PathBuf,
    /// The text of the plan.
    pub plan_text: String,
}

/// The side of the controller: what is worth a line.
pub(crate) struct Recorder {
    limits: Recording,
    queue: mpsc::Sender<Scene>,
    last: BTreeMap<pilotlight_core::id::Unit, (String, Mono)>,
    dropped: bool,
}

impl Recorder {
    /// A recorder and what its task writes; neither where nothing is to be kept.
    pub(crate) fn new(plan: &Arc<Plan>, to: Option<RecordingTo>) -> Option<(Self, Writing)> {
        let limits = plan.controller.recording.clone();
        let to = to.filter(|_| limits.size > 0)?;
        let (queue, lines) = mpsc::channel(QUEUE);
        let head = Head { format: FORMAT, application: plan.application.clone(), plan: to.plan_text };
        let writing =
            Writing { folder: to.folder, limits: limits.clone(), head, lines, open, file: None, failed: false };
        Some((Self { limits, queue, last: BTreeMap::new(), dropped: false }, writing))
    }

    /// Keeps the scene when it is news, or when the last line is old enough.
    pub(crate) fn note(&mut self, plan: &Plan, scene: Scene) {
        let (shape, now) = (scene.shape(plan), scene.sight.now);
        let every = if scene.verdict == Verdict::Healthy { self.limits.every } else { UNWELL.min(self.limits.every) };
        if self.last.get(&scene.unit).is_some_and(|(s, at)| *s == shape && now.since(*at) < every) {
            return;
        }
        self.last.insert(scene.unit.clone(), (shape, now));
        let full = self.queue.try_send(scene).is_err();
        if full && !self.dropped {
            tracing::warn!("the disk does not keep up with the recording of observations; some are left out");
        }
        self.dropped = full;
    }
}

/// The side of the disk.
pub(crate) struct Writing {
    folder: PathBuf,
    limits: Recording,
    head: Head,
    lines: mpsc::Receiver<Scene>,
    /// Makes a file that was not there.
    open: fn(&Path) -> io::Result<File>,
    file: Option<Kept>,
    failed: bool,
}

/// The file that is written.
struct Kept {
    file: File,
    /// Of whole lines.
    size: u64,
}

impl Kept {
    /// Adds a line. After an error the file may end with a part of it.
    fn add(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line).map_err(io::Error::other)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.size += text.len() as u64;
        Ok(())
    }
}

impl Writing {
    /// Writes until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let scene = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                scene = self.lines.recv() => scene,
            };
            let Some(scene) = scene else { return shutdown.cancelled().await };
            let written = tokio::task::spawn_blocking(move || {
                let result = self.write(scene);
                self.say(&result);
                self
            });
            match written.await {
                Ok(back) => self = back,
                // It panicked; recording ends, the controller goes on.
                Err(_) => return shutdown.cancelled().await,
            }
        }
    }

    fn say(&mut self, result: &io::Result<()>) {
        let folder = self.folder.display();
        match result {
            Err(e) if !self.failed => tracing::warn!("observations cannot be recorded in {folder}: {e}; trying on"),
            Ok(()) if self.failed => tracing::info!("observations are recorded in {folder} again"),
            _ => {}
        }
        self.failed = result.is_err();
    }

    fn write(&mut self, scene: Scene) -> io::Result<()> {
        let (at, line) = (scene.at, Line::Scene(Box::new(scene)));
        let most = (self.limits.size / FILES).max(1);
        if let Some(mut kept) = self.file.take().filter(|kept| kept.size < most) {
            let added = kept.add(&line);
            // A file that cannot be cut back to its whole lines is left; the next line begins a new one.
            if added.is_ok() || kept.file.set_len(kept.size).is_ok() {
                self.file = Some(kept);
            }
            return added;
        }
        std::fs::create_dir_all(&self.folder)?;
        prune(&self.folder, self.limits.size - self.limits.size / FILES, self.limits.keep)?;
        let path = free_name(&self.folder, &stamp(at));
        let mut kept = Kept { file: (self.open)(&path)?, size: 0 };
        let begun = kept.add(&Line::Head(self.head.clone())).and_then(|()| kept.add(&line));
        if let Err(e) = begun {
            let _ = std::fs::remove_file(&path);
            return Err(e);
        }
        self.file = Some(kept);
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).append(true).open(path)
}

fn free_name(folder: &Path, stamp: &str) -> PathBuf {
    let name = |n: u32| folder.join(format!("observations-{stamp}-{n:03}.jsonl"));
    (0..1_000).map(name).find(|p| !p.exists()).unwrap_or_else(|| name(0))
}

/// Removes the oldest files until they fit, and those that are too old.
fn prune(folder: &Path, most: u64, keep: Duration) -> io::Result<()> {
    let mut files: Vec<(PathBuf, u64, bool)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("observations-") && name.ends_with(".jsonl") {
            let about = entry.metadata()?;
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let changed = about.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            files.push((entry.path(), about.len(), now.saturating_sub(changed) > keep));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (path, size, old) in files {
        if total > most || old {
            std::fs::remove_file(path)?;
            total -= size;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

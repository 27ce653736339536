//! What a promotion may have left behind: changes that were received and lie after the end of recovery.
//!
//! Usually that is the torn beginning of a record, cut off when the old writer died in the middle of sending it. A whole record
//! there means that recovery stopped short of it. The promotion has happened and cannot be taken back, so this never fails:
//! whatever is not known to be a torn record is a doubt, and a doubt is told.
//!
//! Invariant: nothing is said only where PostgreSQL's own reader finds no record exactly at the end of recovery.

use super::super::PostgresDriver;
use super::super::control::Control;
use super::super::directory::Directory;
use super::super::durable;
use super::super::lsn::Lsn;
use super::super::programs::Call;
use super::super::work::Work;
use pilotlight_core::code;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The end of recovery on the timeline that was left, and what had been received of it.
pub(super) struct End {
    pub(super) timeline: u32,
    pub(super) at: Lsn,
    pub(super) received: Lsn,
}

impl PostgresDriver {
    /// What is to be told of received changes after the end of recovery; `None` where nothing is missing.
    pub(super) async fn what_was_left(&self, end: &End, work: &Work<'_>) -> Option<String> {
        let End { timeline, at, received } = end;
        if received <= at {
            return None;
        }
        let missing = "acknowledged changes may be missing";
        let had =
            format!("recovery ended at {at} although WAL up to {received} had been received on timeline {timeline}");
        let found = self.read_after(end, work).await;
        tracing::info!(%at, %received, ?found, "what was received after the end of recovery");
        let code = code::LEFT_BEHIND;
        match found {
            Found::Torn => None,
            Found::Whole(file) => Some(format!("{code}: {had}: {missing}; keep {}, which holds them", file.display())),
            Found::Unread(why) => Some(format!("{code}: {had}, and what follows cannot be read ({why}): {missing}")),
        }
    }

    async fn read_after(&self, end: &End, work: &Work<'_>) -> Found {
        let directory = self.directory();
        let bytes = match Control::of(&directory, &self.programs).await {
            Ok(control) => control.segment_bytes,
            Err(failure) => return Found::Unread(failure.message),
        };
        let name = super::super::directory::segment_name(end.timeline, end.at, bytes);
        let file = directory.path().join("pg_wal").join(&name);
        if file.exists() {
            return self.read_segment(&directory, Path::new("pg_wal"), file, end, work).await;
        }
        // Where the log is archived, PostgreSQL renames it before it ends the recovery.
        let partial = file.with_extension("partial");
        if !partial.exists() {
            return Found::Unread(format!("{name} is not there any more"));
        }
        let folder = self.beside("promoted");
        let found = match link(&folder, &partial, &name) {
            Ok(()) => self.read_segment(&directory, &folder, partial, end, work).await,
            Err(error) => Found::Unread(format!("{}: {error}", folder.display())),
        };
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "cannot be removed");
        }
        found
    }

    async fn read_segment(
        &self,
        directory: &Directory,
        folder: &Path,
        file: PathBuf,
        end: &End,
        work: &Work<'_>,
    ) -> Found {
        let version = directory.version();
        let call = Call { program: "pg_waldump", version: version.as_deref(), folder: directory.path() };
        let (folder, timeline, start) = (folder.display().to_string(), end.timeline.to_string(), end.at.to_string());
        let args = ["-p", &folder, "-t", &timeline, "-s", &start, "-n", "1"];
        match self.programs.run(call, &args, work.left(), &work.stop).await {
            Ok(ended) if ended.success && ended.output.contains("lsn: ") => Found::Whole(file),
            Ok(ended) if !ended.success && is_torn_at(&ended.output, end.at) => Found::Torn,
            Ok(ended) => Found::Unread(ended.output.trim().to_owned()),
            Err(failure) => Found::Unread(failure.message),
        }
    }
}

/// What lies at the end of recovery.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// No record: what was received ends there.
    Torn,
    /// A whole record, in this file.
    Whole(PathBuf),
    /// Nobody knows.
    Unread(String),
}

/// A folder in which the segment has its own name again: `pg_waldump` goes by names.
fn link(folder: &Path, segment: &Path, name: &str) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(folder)?,
    }
    std::os::unix::fs::symlink(segment, folder.join(name))?;
    folder.parent().map_or(Ok(()), durable::sync_folder)
}

/// `pg_waldump` complains that there is no record exactly there.
fn is_torn_at(output: &str, at: Lsn) -> bool {
    const COMPLAINT: &str = "could not find a valid record after ";
    let mut named = output.lines().filter(|l| l.contains("error:")).filter_map(|l| l.split_once(COMPLAINT));
    let first = |text: &str| text.split([' ', ':', ',']).next().and_then(|word| word.parse::<Lsn>().ok());
    named.any(|(_, rest)| first(rest) == Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_complaint_at_exactly_the_end_is_a_torn_record() {
        let at: Lsn = "0/3000180".parse().unwrap();
        assert!(is_torn_at("pg_waldump: error: could not find a valid record after 0/3000180", at));
        assert!(is_torn_at("pg_waldump: error: could not find a valid record after 0/03000180: invalid length", at));
        for other in [
            "pg_waldump: error: could not find a valid record after 0/3000188",
            "pg_waldump: error: could not find file \"000000010000000000000003\": No such file or directory",
            "pg_waldump: error: could not open directory \"pg_wal\": Permission denied",
            "could not find a valid record after 0/3000180",
            "",
        ] {
            assert!(!is_torn_at(other, at), "{other}");
        }
    }
}

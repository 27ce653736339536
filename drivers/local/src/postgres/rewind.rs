//! Turning a copy that went its own way back to the fork, with `pg_rewind`.
//!
//! What the copy holds after the fork was perhaps acknowledged and exists nowhere else: nothing is rewound before it is
//! safe in a rescue bundle, which is the business of `rescue`.
//!
//! `pg_rewind` copies every file of the upstream, its configuration included; the copy's own is kept meanwhile, which is the
//! business of `configuration`.

use super::PostgresDriver;
use super::directory::Directory;
use super::lsn::Lsn;
use super::processes;
use super::programs::Call;
use super::upstream::{Upstream, quote, way_to};
use super::work::Work;
use nix::sys::signal::Signal;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, FailureKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Programs of an earlier agent that may still be at work in a directory.
const PROGRAMS: [&str; 2] = ["pg_rewind", "pg_basebackup"];

impl PostgresDriver {
    /// Rewinds the copy; where that cannot work, or `cannot` says beforehand that it could not, builds it anew. What it holds
    /// after the fork is kept first in any case. Answers what was done, for people.
    pub(super) async fn rewind(
        &self,
        upstream: &Region,
        theirs: &Upstream,
        fork: (u32, Lsn),
        cannot: Option<&str>,
        work: &Work<'_>,
    ) -> Result<String, Failure> {
        self.stop_for_rejoin(work).await?;
        let directory = self.directory();
        let (kept, bundle, readable) = self.rescue_before_rewind(upstream, (fork, cannot.is_some()), work).await?;
        // Its own recovery would end at the hole, before the fork, and pg_rewind would find nothing to do.
        let hole = (!readable).then_some("its own log cannot be read to its end");
        if let Some(why) = cannot.or(hole) {
            return Ok(format!("{kept}\n{}", self.build(upstream, theirs, why, work).await?));
        }
        self.put_config_aside(&directory, work).await?;
        let rewound = self.run_rewind(&directory, upstream, &bundle, work).await;
        let why = match rewound {
            Ok(output) => match directory.fresh_copy_start() {
                Some(start) if start < theirs.oldest => {
                    format!("the upstream has no WAL before {} any more", theirs.oldest)
                }
                _ => {
                    self.put_config_back(&directory)?;
                    self.forget_rewind()?;
                    self.drop_config_aside();
                    return Ok(format!("{kept}\nrewound to {} of timeline {}\n{output}", fork.1, fork.0));
                }
            },
            Err(failure) if work.stop.is_cancelled() || work.left().is_zero() => return Err(failure),
            Err(failure) => {
                if failure.kind == FailureKind::Rejected {
                    self.forget_rewind()?;
                }
                format!("it cannot be rewound: {failure}\n{}", failure.output)
            }
        };
        let built = self.build(upstream, theirs, &why, work).await?;
        Ok(format!("{kept}\n{built}"))
    }

    async fn run_rewind(
        &self,
        directory: &Directory,
        upstream: &Region,
        bundle: &Path,
        work: &Work<'_>,
    ) -> Result<String, Failure> {
        let server = self.peer(upstream)?;
        // Until its first checkpoint after the promotion the upstream's control file names the old timeline, and
        // pg_rewind would find nothing to do.
        let session = self.session_of(server);
        let done = session.rows("CHECKPOINT", work.left(), true).await;
        done.map_err(|e| Failure::transient(format!("the upstream makes no checkpoint: {e}")))?;
        self.note_rewind(directory, bundle)?;
        // Its own crash recovery runs in single-user mode, which refuses a directory with standby.signal.
        directory.disarm().map_err(|e| Failure::transient(format!("cannot remove standby.signal: {e}")))?;
        let version = directory.version();
        let call = Call { program: "pg_rewind", version: version.as_deref(), folder: directory.path() };
        let source = format!(
            "{} dbname={} {}",
            way_to(&self.plan, server),
            quote(&self.plan.database),
            super::rebuild::LOST_SOON
        );
        let mut args = vec![
            "--target-pgdata".to_owned(),
            directory.path().display().to_string(),
            "--source-server".to_owned(),
            source,
        ];
        if let Some(file) = self.options(directory).config_file() {
            args.extend(["--config-file".to_owned(), file.display().to_string()]);
        }
        let ended = self.programs.run(call, &args, work.left(), &work.stop).await;
        directory.arm().map_err(|e| Failure::unknown(format!("cannot make standby.signal: {e}")))?;
        let ended = ended?;
        if ended.success {
            return Ok(ended.output);
        }
        // What it says before it begins to write. Without it, nothing of the copy was touched.
        let touched = ended.output.contains("rewinding from last common checkpoint");
        let kind = if touched { FailureKind::OutcomeUnknown } else { FailureKind::Rejected };
        Err(Failure::new(kind, "pg_rewind failed").output(ended.output))
    }

    /// Ends programs that an earlier agent left at work here: two of them at once would spoil the copy.
    pub(super) async fn end_leftovers(&self, directory: &Directory, work: &Work<'_>) -> Result<(), Failure> {
        for folder in [directory.path().to_owned(), self.beside("rebuild")] {
            loop {
                let left = processes::programs_in(&folder, &PROGRAMS);
                if left.is_empty() {
                    break;
                }
                for proc in left {
                    processes::signal(proc, Signal::SIGKILL);
                }
                let pause = Duration::from_millis(5);
                work.pause(pause, "an earlier pg_rewind or pg_basebackup has ended", &|| "it runs".to_owned()).await?;
            }
        }
        Ok(())
    }

    /// A folder next to the data directory, on the same file system.
    pub(super) fn beside(&self, what: &str) -> PathBuf {
        let mut path = self.directory().path().as_os_str().to_owned();
        path.push(format!(".{what}"));
        PathBuf::from(path)
    }
}

//! Building a copy anew with `pg_basebackup`, beside the old one, which goes only when the new one streams.

use super::PostgresDriver;
use super::directory::Directory;
use super::durable;
use super::forecast::{Rate, barred};
use super::programs::Call;
use super::upstream::{Upstream, way_to};
use super::work::Work;
use pilotlight_core::code::Code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;
use pilotlight_core::time::show_duration;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Keeps a dead connection from being waited for.
pub(super) const LOST_SOON: &str = "keepalives_idle=2 keepalives_interval=1 keepalives_count=5 tcp_user_timeout=10000";

impl PostgresDriver {
    /// It cannot follow, and `no` is why it is not made anew either.
    pub(super) fn not_built(&self, code: Code, why: &str, no: &str) -> Failure {
        let here = format!("{} in {}", self.component, self.region);
        Failure::rejected(format!("{code}: {here} cannot follow, because {why}, and is not built anew: {no}"))
    }

    /// Makes the copy beside, then changes places with the old one.
    pub(super) async fn build(
        &self,
        upstream: &Region,
        theirs: &Upstream,
        why: &str,
        work: &Work<'_>,
    ) -> Result<String, Failure> {
        if let Some((code, no)) = barred(&self.plan, theirs.bytes, Rate::last(&self.state_dir)) {
            let hint = format!("`pilotlight explain {code}` says how to go on");
            return Err(self.not_built(code, why, &no).hint(hint));
        }
        self.has_places(upstream, why).await?;
        let began = work.now();
        let directory = self.directory();
        self.end_leftovers(&directory, work).await?;
        let (new, old) = (self.beside("rebuild"), self.beside("replaced"));
        let clear = || {
            remove_tree(&new)?;
            fs::create_dir_all(&new)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?;
            durable::give(&new, directory.owner())
        };
        clear().map_err(|e: io::Error| Failure::transient(format!("cannot make {}: {e}", new.display())))?;
        has_room(&new, theirs.bytes)?;
        let started = work.now();
        let output = self.base_backup(&new, upstream, work).await?;
        Rate { bytes: theirs.bytes, took: work.now().since(started) }.keep(&self.state_dir);

        self.stop_for_rejoin(work).await?;
        if self.database_in(&directory)? {
            self.put_config_aside(&directory, work).await?;
        }
        let copy = Directory::new(&new, directory.owner());
        if !self.put_config_back(&copy)? {
            // Nothing of its own to keep: the source's configuration with this server's port.
            let port = [("port", self.own.port.to_string())];
            copy.set(&port).map_err(|e| Failure::transient(format!("cannot configure {}: {e}", new.display())))?;
        }
        copy.arm().map_err(|e| Failure::transient(format!("cannot make standby.signal in {}: {e}", new.display())))?;
        self.forget_held()?;
        change_places(&new, directory.path(), &old)?;
        self.forget_rewind()?;
        self.drop_config_aside();
        let took = show_duration(work.now().since(began));
        Ok(format!("built anew from {upstream} in {took}, because {why}\n{output}"))
    }

    async fn base_backup(&self, new: &Path, upstream: &Region, work: &Work<'_>) -> Result<String, Failure> {
        let server = self.peer(upstream)?;
        let version = self.directory().version();
        let call = Call { program: "pg_basebackup", version: version.as_deref(), folder: new };
        // A source that is lost must be noticed within seconds: until then the copy cannot be told anything else.
        let source = format!("{} {LOST_SOON}", way_to(&self.plan, server));
        let target = new.display().to_string();
        let args = ["-D", &target, "-d", &source, "-X", "stream", "-c", "fast", "--no-password", "--verbose"];
        let ended = self.programs.run(call, &args, work.left(), &work.stop).await?;
        if ended.success {
            return Ok(ended.output);
        }
        Err(Failure::transient(format!("pg_basebackup from {upstream} failed")).output(ended.output))
    }

    /// Removes the old copy once the new one streams. It is only room: a failure is worth a line in the log.
    pub(super) fn drop_replaced(&self) {
        let old = self.beside("replaced");
        if let Err(error) = remove_tree(&old) {
            tracing::warn!(path = %old.display(), %error, "the copy that was replaced cannot be removed");
        }
    }
}

/// Bytes that are free where a folder lies.
#[allow(clippy::unnecessary_cast)] // the width of the fields differs between systems
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}

fn has_room(folder: &Path, bytes: u64) -> Result<(), Failure> {
    let Some(free) = free_bytes(folder) else { return Ok(()) };
    // A tenth more for WAL and for what grows meanwhile.
    let needed = bytes + bytes / 10;
    if free >= needed {
        return Ok(());
    }
    Err(Failure::rejected(format!(
        "PL-0311: building the copy anew needs {needed} bytes beside the old one in {}, {free} are free",
        folder.display()
    ))
    .hint("make room, or move the old data directory away by hand, then `pilotlight rejoin`"))
}

fn change_places(new: &Path, place: &Path, old: &Path) -> Result<(), Failure> {
    let swap = || {
        remove_tree(old)?;
        if place.exists() {
            fs::rename(place, old)?;
        }
        fs::rename(new, place)?;
        place.parent().map_or(Ok(()), durable::sync_folder)
    };
    swap().map_err(|e: io::Error| {
        Failure::unknown(format!("the new copy in {} cannot take the place of {}: {e}", new.display(), place.display()))
            .hint("the data directory must be a plain folder, not a mount point, so that it can be renamed")
    })
}

pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

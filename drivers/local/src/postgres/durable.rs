//! Files that must survive a power cut once the call has returned: written beside, synced, renamed, folder synced.
//!
//! The folders belong to the database's account, we may be root. Invariant: no link that the account has put there is
//! followed, neither to read what it may not read nor to write or give away what is not its own.

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The account that a file is to belong to; `None` leaves it to whoever writes.
pub(super) type Owner = Option<(Uid, Gid)>;

/// Replaces a file as one: a reader sees the old content or the new one.
pub(super) fn write(path: &Path, content: &[u8], owner: Owner) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file needs a folder"))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file = fresh(beside)?;
    file.write_all(content)?;
    give_open(&file, owner)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    sync_folder(folder)
}

/// A file of our own making: one left of an earlier try goes, and nothing that comes in between is opened.
fn fresh(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)
}

/// Copies a file, blocks shared where the file system can; not durable. What is a link, or no file, is refused.
pub(super) fn copy(from: &Path, to: &Path, owner: Owner) -> io::Result<()> {
    let mut source = open(from)?;
    let mut target = fresh(to)?;
    io::copy(&mut source, &mut target)?;
    give_open(&target, owner)
}

/// Reads a file. What is a link, or no file, is refused.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content).map(|_| content)
}

fn open(path: &Path) -> io::Result<File> {
    // Without waiting: a pipe would never be opened.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is no file", path.display()))),
    }
}

/// Makes a folder that only the account may enter.
pub(super) fn folder(path: &Path, owner: Owner) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    give(path, owner)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Puts a link in the place of a file.
pub(super) fn link(leads: &Path, path: &Path, owner: Owner) -> io::Result<()> {
    remove(path)?;
    std::os::unix::fs::symlink(leads, path)?;
    give(path, owner)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn give_open(file: &File, owner: Owner) -> io::Result<()> {
    owner.map_or(Ok(()), |(uid, gid)| nix::unistd::fchown(file, Some(uid), Some(gid)).map_err(io::Error::from))
}

/// Removes a file if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Hands a folder or a link that was just made to the account; of a link, the link itself.
pub(super) fn give(path: &Path, owner: Owner) -> io::Result<()> {
    owner.map_or(Ok(()), |(uid, gid)| std::os::unix::fs::lchown(path, Some(uid.as_raw()), Some(gid.as_raw())))
}

/// Makes renames and removals in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_in_the_way_is_replaced_and_what_it_leads_to_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, signal) = (folder.path().join("victim"), folder.path().join("standby.signal"));
        fs::write(&victim, "precious").unwrap();
        let beside = folder.path().join("standby.signal.new");
        symlink(&victim, &beside).unwrap();
        symlink(&victim, &signal).unwrap();
        let owner = Some((nix::unistd::getuid(), nix::unistd::getgid()));
        write(&signal, b"", owner).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(fs::symlink_metadata(&signal).unwrap().is_file() && !beside.exists());

        let (link, target) = (folder.path().join("x.conf"), folder.path().join("target"));
        symlink(&victim, &link).unwrap();
        assert!(copy(&link, &target, owner).is_err(), "a link is not read through");
        symlink(&victim, &target).unwrap();
        copy(&signal, &target, owner).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}

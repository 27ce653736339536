//! Files that are replaced as a whole: whoever reads, and whoever starts after a crash, finds the old content or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replaces the file or makes it. It is on disk when this returns, its name too, so a loss of power leaves it there.
///
/// # Errors
/// The disk's. The old file is as it was then, or is the new one already, and nothing lies beside it.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    put(path, |file| {
        file.write_all(content)?;
        file.sync_all()
    })?;
    // What was renamed may be lost with the power until its folder is on disk, too.
    File::open(folder_of(path))?.sync_all()
}

/// The same without waiting for the disk: for what means nothing after a loss of power.
///
/// # Errors
/// As [`replace`].
pub fn replace_unflushed(path: &Path, content: &[u8]) -> io::Result<()> {
    put(path, |file| file.write_all(content))
}

fn put(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = File::create(beside).and_then(|mut file| write(&mut file)).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // Half of it is of no use; that it cannot be removed either adds nothing.
        let _ = fs::remove_file(beside);
    }
    written
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lease.json");
        for (content, write) in
            [("one", replace as fn(&Path, &[u8]) -> _), ("two", replace_unflushed), ("three", replace)]
        {
            write(&file, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_replaced_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(replace(&taken, b"content").is_err(), "a folder is no file");
        assert!(replace(&folder.path().join("missing/file"), b"content").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "and nothing lies beside it");
    }
}

//! The file by which a person holds everything automatic: read here, on the controller's own disk, at every decision.
//!
//! Its being there is the wish. What it says (`by`, `at`, `why`, one a line) is for people, so an empty file made by `touch`
//! works, and so does one that cannot be read.

use pilotlight_core::time::Wall;
use pilotlight_core::verdict::Hold;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// No more of the file is read than this.
const MOST: u64 = 4_096;

/// The hold, if there is one. A place that cannot be looked at may hold a file: in doubt, hold.
pub fn read(file: &Path) -> Option<Hold> {
    // Most often there is none, and this is asked many times a second.
    let found = match std::fs::metadata(file) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return None,
        found => found,
    };
    let mut hold = Hold { file: file.display().to_string(), by: String::new(), since: None, why: String::new() };
    let found = match found {
        Ok(found) => found,
        Err(e) => {
            hold.why = format!("it cannot be seen whether the file is there: {e}");
            return Some(hold);
        }
    };
    let changed = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    hold.since = changed.map(|d| Wall(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)));
    let mut text = Vec::new();
    if std::fs::File::open(file).and_then(|f| f.take(MOST).read_to_end(&mut text)).is_err() {
        return Some(hold);
    }
    let text = String::from_utf8_lossy(&text);
    let said = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(": ")).map(str::trim);
    hold.by = said("by").unwrap_or_default().to_owned();
    hold.why = said("why").unwrap_or_else(|| text.lines().next().unwrap_or_default()).to_owned();
    Some(hold)
}

/// What `pilotlight hold on` writes.
pub fn text(by: &str, why: &str) -> String {
    let line = |s: &str| s.replace(['\n', '\r'], " ");
    format!("by: {}\nwhy: {}\n\nWhile this file is here, Pilotlight starts nothing by itself.\n", line(by), line(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_there_holds_and_says_what_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hold");
        assert_eq!(read(&file), None);
        std::fs::write(&file, text("ada", "network\nwork")).unwrap();
        let hold = read(&file).unwrap();
        assert_eq!((hold.by.as_str(), hold.why.as_str()), ("ada", "network work"));
        assert!(hold.since.is_some() && hold.to_string().starts_with("ada holds everything automatic since 2"));
        std::fs::write(&file, "").unwrap();
        let hold = read(&file).unwrap();
        assert!(hold.to_string().starts_with("somebody holds everything automatic"), "{hold}");
        std::fs::write(&file, b"leave it \xff").unwrap();
        assert!(read(&file).unwrap().why.starts_with("leave it"));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(read(&file).is_some(), "a folder in its place holds too");
    }

    #[test]
    fn a_place_that_cannot_be_looked_at_holds() {
        let folder = tempfile::tempdir().unwrap();
        let name = "x".repeat(300);
        let hold = read(&folder.path().join(name)).expect("the name is too long to be looked for");
        assert!(hold.why.contains("cannot be seen"), "{hold}");
    }
}

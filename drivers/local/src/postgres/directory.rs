//! The data directory as files: pid file, signal file, configuration that Pilotlight sets, WAL segments, history.
//!
//! Border: reads and writes files only; who runs on them is the business of `processes`, what they mean of `control`.
//!
//! `standby.signal` stays in the directory of a running writer: whoever starts that server without Pilotlight gets it
//! read-only (tried). Pilotlight's own start takes it away for the moment of the start.

use super::durable::{self, Owner};
use super::lsn::{History, Lsn};
use pilotlight_core::outcome::Failure;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What `postmaster.pid` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    /// Process id of the postmaster.
    pub(super) pid: i32,
    /// First address it listens on, empty when it says none.
    pub(super) listen: String,
    /// Key and id of its System V segment, once that was made.
    pub(super) shared_memory: Option<(i64, i64)>,
    /// `starting`, `ready`, `standby`, `stopping`.
    pub(super) status: String,
}

impl PidFile {
    fn read(text: &str) -> Option<PidFile> {
        let lines: Vec<&str> = text.lines().collect();
        let line = |i: usize| lines.get(i).map_or("", |l| l.trim());
        let shared_memory = line(6).split_once(char::is_whitespace);
        Some(PidFile {
            pid: line(0).parse().ok().filter(|pid| *pid > 0)?,
            listen: line(5).to_owned(),
            shared_memory: shared_memory.and_then(|(k, i)| Some((k.trim().parse().ok()?, i.trim().parse().ok()?))),
            status: line(7).to_owned(),
        })
    }
}

/// What is in a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contents {
    /// It is absent or empty.
    Nothing,
    /// A database.
    Database,
    /// Something else; why it is no database.
    Damaged(String),
}

/// A data directory, whether it exists or not.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    path: PathBuf,
    owner: Owner,
}

impl Directory {
    /// The directory, links resolved, so that it compares with the working directory of a process.
    pub(super) fn new(path: &Path, owner: Owner) -> Directory {
        Directory { path: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), owner }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The account that owns it, where the agent is root.
    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// There is a database in it.
    pub(super) fn holds_data(&self) -> bool {
        matches!(self.contents(), Contents::Database)
    }

    /// What is in it. Nothing means absent or empty, and only that: a database that lacks a file, or a folder that cannot
    /// be read, may be all there is of what a writer acknowledged.
    pub(super) fn contents(&self) -> Contents {
        let mut entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            // A link to what is not there is something: a disk that is not mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&self.path).is_err() => {
                return Contents::Nothing;
            }
            Err(error) => return Contents::Damaged(format!("it cannot be read: {error}")),
        };
        let missing = ["PG_VERSION", "global/pg_control"].into_iter().find(|file| !self.path.join(file).exists());
        match (missing, entries.next()) {
            (_, None) => Contents::Nothing,
            (None, _) => Contents::Database,
            (Some(file), _) => Contents::Damaged(format!("{file} is missing, and it is not empty")),
        }
    }

    /// Whether there is a database, or nothing at all; what is neither is left as it is.
    pub(super) fn database(&self) -> Result<bool, Failure> {
        match self.contents() {
            Contents::Nothing => Ok(false),
            Contents::Database => Ok(true),
            Contents::Damaged(why) => Err(self.damaged(&why)),
        }
    }

    /// The refusal to touch it.
    pub(super) fn damaged(&self, why: &str) -> Failure {
        Failure::rejected(format!("PL-0970: there is no whole database in {}: {why}", self.path.display()))
            .hint("put back what is missing, or move the directory away and keep it: it may hold what nobody else has")
    }

    /// Its PostgreSQL major version.
    pub(super) fn version(&self) -> Option<String> {
        fs::read_to_string(self.path.join("PG_VERSION")).ok().map(|v| v.trim().to_owned())
    }

    /// The pid file, if one is there and names a postmaster.
    pub(super) fn pid_file(&self) -> Option<PidFile> {
        PidFile::read(&fs::read_to_string(self.path.join("postmaster.pid")).ok()?)
    }

    /// A start by anybody else comes up read-only from now on.
    pub(super) fn arm(&self) -> io::Result<()> {
        if self.armed() { Ok(()) } else { durable::write(&self.path.join("standby.signal"), b"", self.owner) }
    }

    /// Whether it is so.
    pub(super) fn armed(&self) -> bool {
        self.path.join("standby.signal").exists()
    }

    /// The next start makes a writer.
    pub(super) fn disarm(&self) -> io::Result<()> {
        durable::remove(&self.path.join("standby.signal"))
    }

    /// A copy made by `pg_basebackup` or `pg_rewind` that was not started yet.
    pub(super) fn is_fresh_copy(&self) -> bool {
        self.path.join("backup_label").exists()
    }

    /// Where a fresh copy starts to read WAL.
    pub(super) fn fresh_copy_start(&self) -> Option<Lsn> {
        let label = fs::read_to_string(self.path.join("backup_label")).ok()?;
        label.lines().find_map(|l| l.strip_prefix("START WAL LOCATION: "))?.split(' ').next()?.parse().ok()
    }

    /// What `postgresql.auto.conf` sets a name to; the last line counts, as for the server.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.path.join("postgresql.auto.conf")).ok()?;
        text.lines().rev().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| unquote(value.trim()))
        })
    }

    /// Sets names in `postgresql.auto.conf`, which the server reads last of all its files; only while it is down, since
    /// a running server rewrites that file itself.
    pub(super) fn set(&self, settings: &[(&str, String)]) -> io::Result<()> {
        let path = self.path.join("postgresql.auto.conf");
        let old = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let ours = |line: &str| line.split_once('=').is_some_and(|(k, _)| settings.iter().any(|(n, _)| *n == k.trim()));
        let mut text: String = old.lines().filter(|l| !ours(l)).map(|l| format!("{l}\n")).collect();
        for (name, value) in settings {
            text.push_str(&format!("{name} = {}\n", quote(value)));
        }
        if text == old { Ok(()) } else { durable::write(&path, text.as_bytes(), self.owner) }
    }

    /// Ancestors of a timeline as far as this directory knows; the first timeline has none.
    pub(super) fn history(&self, timeline: u32) -> Option<History> {
        if timeline == 1 {
            return Some(History::default());
        }
        let path = self.path.join(format!("pg_wal/{timeline:08X}.history"));
        fs::read_to_string(path).ok().map(|text| History::read(&text))
    }

    /// The newest timeline that its log or its histories name. A promotion writes both before anything is acknowledged on it.
    pub(super) fn newest_timeline(&self) -> Option<u32> {
        let files = fs::read_dir(self.path.join("pg_wal")).ok()?;
        let of = |file: io::Result<fs::DirEntry>| {
            let name = file.ok()?.file_name();
            let name = name
                .to_str()
                .filter(|n| n.len() == 24 || n.len() == 8 + ".history".len() && n.ends_with(".history"))?;
            u32::from_str_radix(name.get(..8)?, 16).ok()
        };
        files.filter_map(of).max()
    }

    /// Every WAL segment: timeline, number within the log given the segment size, path.
    pub(super) fn segments(&self, segment_bytes: u64) -> io::Result<Vec<(u32, u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path.join("pg_wal"))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if let Some((timeline, number)) = segment(name, segment_bytes) {
                found.push((timeline, number, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Beginnings of the segments of a timeline after the one that holds `end` whose first page is what belongs there. A
    /// segment that was made for later, or taken over from an earlier one, holds nothing or the address of the earlier one.
    pub(super) fn written_after(&self, timeline: u32, end: Lsn, segment_bytes: u64) -> Vec<Lsn> {
        let last = end.0 / segment_bytes;
        let later = self.segments(segment_bytes).unwrap_or_default().into_iter();
        let later = later.filter(|(t, number, _)| *t == timeline && *number > last);
        let written = later.filter(|(_, number, path)| page_address(path).ok() == Some(number * segment_bytes));
        written.map(|(_, number, _)| Lsn(number * segment_bytes)).collect()
    }
}

/// Where the first page of a segment says that it belongs; the server writes numbers as its machine does.
fn page_address(path: &Path) -> io::Result<u64> {
    let mut head = [0; 16];
    fs::File::open(path)?.read_exact(&mut head)?;
    let [_, _, _, _, _, _, _, _, address @ ..] = head;
    Ok(u64::from_ne_bytes(address))
}

/// Timeline and number of a WAL segment's name.
pub(super) fn segment(name: &str, segment_bytes: u64) -> Option<(u32, u64)> {
    if name.len() != 24 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let part = |from: usize| u64::from_str_radix(name.get(from..from + 8)?, 16).ok();
    let per_id = 0x1_0000_0000_u64 / segment_bytes.max(1);
    Some((u32::try_from(part(0)?).ok()?, part(8)? * per_id + part(16)?))
}

/// The other way: the segment that holds a position.
pub(super) fn segment_name(timeline: u32, at: Lsn, segment_bytes: u64) -> String {
    let (number, per_id) = (at.0 / segment_bytes.max(1), 0x1_0000_0000_u64 / segment_bytes.max(1));
    format!("{timeline:08X}{:08X}{:08X}", number / per_id.max(1), number % per_id.max(1))
}

/// A value as the server reads it in a file, where a backslash is an escape too: without that, what libpq quotes in a
/// `primary_conninfo` would end the value, or lose its backslashes.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// The other way.
fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) else { return value.to_owned() };
    let mut chars = inner.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        // What stands behind either of them is meant as it is.
        plain.extend(if matches!(c, '\\' | '\'') { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_is_read_at_every_stage_of_a_start() {
        let full = "4711\n/data\n1700000000\n5432\n/tmp\n127.0.0.1\n  5432001     65536\nready   \n";
        let file = PidFile::read(full).unwrap();
        assert_eq!((file.pid, file.shared_memory, file.status.as_str()), (4711, Some((5_432_001, 65_536)), "ready"));
        assert_eq!(PidFile::read("4711\n/data\n17\n5432\n").unwrap().shared_memory, None);
        assert_eq!(PidFile::read("-4711\n"), None, "a single-user server has no postmaster");
        assert_eq!(PidFile::read(""), None);
    }

    #[test]
    fn settings_are_replaced_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::new(folder.path(), None);
        fs::write(folder.path().join("postgresql.auto.conf"), "work_mem = '8MB'\nport = '1'\n").unwrap();
        directory.set(&[("port", "2".to_owned()), ("primary_conninfo", "host='a' user='it''s'".to_owned())]).unwrap();
        assert_eq!(directory.setting("work_mem").as_deref(), Some("8MB"));
        assert_eq!(directory.setting("port").as_deref(), Some("2"));
        assert_eq!(directory.setting("primary_conninfo").as_deref(), Some("host='a' user='it''s'"));
    }

    #[test]
    fn a_value_in_which_something_is_escaped_is_read_as_it_was_set() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::new(folder.path(), None);
        let info = r"host='a' password='p\'w\\x'";
        directory.set(&[("primary_conninfo", info.to_owned())]).unwrap();
        let text = fs::read_to_string(folder.path().join("postgresql.auto.conf")).unwrap();
        assert_eq!(text, concat!(r"primary_conninfo = 'host=''a'' password=''p\\''w\\\\x'''", "\n"));
        assert_eq!(directory.setting("primary_conninfo").as_deref(), Some(info));
        fs::write(folder.path().join("postgresql.auto.conf"), r"primary_conninfo = 'user=it\'s'").unwrap();
        assert_eq!(directory.setting("primary_conninfo").as_deref(), Some("user=it's"), "as a person may write it");
    }

    #[test]
    fn a_segment_name_gives_timeline_and_number() {
        assert_eq!(segment("00000002000000010000000A", 16 << 20), Some((2, 256 + 10)));
        assert_eq!(segment("00000002.history", 16 << 20), None);
        let at: Lsn = "1/A000028".parse().unwrap();
        assert_eq!(segment_name(2, at, 16 << 20), "00000002000000010000000A");
    }
}

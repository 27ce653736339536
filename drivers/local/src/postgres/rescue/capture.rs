//! Keeping a tail: its segments are copied, read back, and walked to their end; only then the bundle takes its name.
//!
//! A capture that was cut short (a killed agent, a full disk) is taken up where it was: what is there whole stays.

use super::super::PostgresDriver;
use super::super::control::Control;
use super::super::directory::Directory;
use super::super::lsn::{Lsn, Place};
use super::super::rebuild::free_bytes;
use super::super::way::Stand;
use super::super::work::Work;
use super::bundle::{self, COMMITS, Folder};
use super::decode::Decoded;
use super::names::Name;
use super::tail::{self, Piece, Segment};
use super::walk::{self, RawCommit, Rel, Stretch, Walk};
use pilotlight_core::id::{BundleId, Region};
use pilotlight_core::outcome::Failure;
use pilotlight_core::position::Position;
use pilotlight_core::rescue::{Bundle, Commit, File, Manifest, Missing, Rows, Touched, VERSION, Walked};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Segments before the fork that are looked through for the numbers of transactions given out by then. One is written at
/// least every fifteen seconds in which anything happens.
const LOOK_BACK: usize = 16;

/// What only this copy holds.
pub(super) struct Tail {
    pub(super) upstream: Region,
    pub(super) own: Stand,
    pub(super) fork: (u32, Lsn),
    /// Its timeline has the number of one of the upstream's.
    pub(super) twin: bool,
}

impl Tail {
    /// The same tail has the same name.
    pub(super) fn id(&self, driver: &PostgresDriver) -> BundleId {
        let word = |lsn: Lsn| lsn.to_string().replace('/', "_");
        let end = self.own.end.map_or_else(|| "unreadable".to_owned(), word);
        let (component, region) = (&driver.component, &driver.region);
        BundleId::new(format!("{component}-{region}-{}-{}-{end}", self.fork.0, word(self.fork.1)))
    }

    fn place(&self, timeline: u32, lsn: Lsn) -> Position {
        Place { system: self.own.system.clone(), timeline, lsn, begun: None }.position()
    }
}

/// The segments of a tail and what is known of them.
struct Source {
    pieces: Vec<Piece>,
    segments: Vec<Segment>,
    /// The first that is walked, before the fork where that is possible.
    start: Lsn,
    missing: Option<Missing>,
    segment_bytes: u64,
    wal: PathBuf,
}

/// What the segments of a tail tell.
struct Told {
    found: Walk,
    walked: Vec<Walked>,
    /// From the first place that cannot be read to where everything after it can.
    missing: Option<Missing>,
}

impl PostgresDriver {
    /// Makes the bundle in the folder of that name; the copy must not be running.
    pub(super) async fn capture(
        &self,
        tail: &Tail,
        to: &Path,
        waived_by: Option<&str>,
        work: &Work<'_>,
    ) -> Result<Bundle, Failure> {
        let directory = self.directory();
        let program = self.programs.find("pg_waldump", directory.version().as_deref())?;
        let source = self.source(tail, &directory, &program, work).await?;
        let mut folder = self.partial(to)?;
        self.has_room(&source, &folder)?;
        let mut files = self.bring(&source, &folder, work).await?;
        let Told { found, walked, missing } = self.walk(tail, &source, &folder, &program, work).await?;
        let rels: BTreeSet<Rel> = found.commits.iter().flat_map(|c| c.touched.keys().copied()).collect();
        let (names, unnamed) = self.names_of(self.peer(&tail.upstream)?, &rels).await?;
        let decoded = match self.rows_of(tail, &found, &names, &folder, work).await {
            Ok(decoded) => decoded,
            // The log is kept all the same: what can be read out of it by hand is not lost with the rows.
            Err(failure) => match waived_by.filter(|_| super::is_waivable(&failure, work)) {
                Some(by) => Decoded::left(format!("waived by {by}: {failure}")),
                None => return Err(failure),
            },
        };
        let (mut about, commits) = self.describe(tail, &found, &names, work);
        about.missing = missing.or(source.missing);
        about.sealed = folder.is_sealed();
        about.rows = decoded.rows;
        let told_to_follow = directory.setting("primary_conninfo").and_then(|info| self.region_in(&info));
        if tail.twin && told_to_follow.as_ref() == Some(&tail.upstream) {
            about.notes.push(SPOILT.to_owned());
        }
        about.notes.extend(unnamed);
        about.notes.extend(decoded.notes);
        files.push(self.write_commits(&folder, &commits, work)?);
        files.extend(decoded.files);
        let manifest = Manifest { version: VERSION, about, system: tail.own.system.clone(), walked, files };
        folder.finish(&manifest, to).map_err(|e| not_kept(to, &e))?;
        Ok(manifest.about)
    }

    async fn source(
        &self,
        tail: &Tail,
        directory: &Directory,
        program: &Path,
        work: &Work<'_>,
    ) -> Result<Source, Failure> {
        let segment_bytes = Control::of(directory, &self.programs).await?.segment_bytes;
        let all = directory.segments(segment_bytes).unwrap_or_default();
        let wal = directory.path().join("pg_wal");
        let Some(end) = tail.own.end else {
            let missing = Some(Missing { from: tail.place(tail.fork.0, tail.fork.1), until: None });
            let segments = all.into_iter().filter(|(t, ..)| *t >= tail.fork.0).collect();
            return Ok(Source { pieces: Vec::new(), segments, start: tail.fork.1, missing, segment_bytes, wal });
        };
        let pieces = tail::pieces(tail.fork, tail.own.timeline, &tail.own.history, end);
        let (mut segments, gap) = tail::needed(&pieces, &all, segment_bytes);
        let missing = gap.map(|(from, until)| Missing {
            from: tail.place(tail.fork.0, from),
            until: until.map(|at| tail.place(tail.own.timeline, at)),
        });
        let mut start = tail.fork.1;
        let holding = Lsn(start.0 - start.0 % segment_bytes);
        if segments.first().is_some_and(|s| Lsn(s.1 * segment_bytes) == holding) {
            // The segment in which a timeline begins holds the end of the one before it, and a log is read along one timeline:
            // what lies before that segment is of the other.
            let first = pieces.first().map_or(tail.fork.0, |p| p.timeline);
            let mut earlier = tail::before(tail.fork.0, tail.fork.1, &all, segment_bytes);
            earlier.truncate(if first == tail.fork.0 { LOOK_BACK } else { 0 });
            let firsts = std::iter::once(holding).chain(earlier.iter().map(|s| Lsn(s.1 * segment_bytes)));
            let mut taken = 0;
            for (before, from) in firsts.enumerate() {
                let stretch = Stretch {
                    program,
                    wal: &wal,
                    timeline: first,
                    from,
                    until: Some(tail.fork.1),
                    segment_bytes,
                    only: Some("Standby"),
                };
                let mut told = false;
                let end = walk::read(&stretch, work, |line| told |= walk::next_number(line).is_some()).await?;
                // What cannot be read before the fork is no part of the tail, which does not depend on it.
                if end < tail.fork.1 {
                    continue;
                }
                (start, taken) = (from, before);
                if told {
                    break;
                }
            }
            segments = earlier.into_iter().take(taken).rev().chain(segments).collect();
        }
        Ok(Source { pieces, segments, start, missing, segment_bytes, wal })
    }

    /// The unfinished folder of the bundle, made if need be.
    fn partial(&self, to: &Path) -> Result<Folder, Failure> {
        let mut path = to.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        let seal = self.seal().map_err(|e| not_kept(&path, &e))?;
        let (salt, key) = seal.map_or((None, None), |(salt, key)| (Some(salt), Some(key)));
        let folder = Folder::new(path.clone(), key);
        folder.make(salt.as_deref()).map_err(|e| not_kept(&path, &e))?;
        Ok(folder)
    }

    fn has_room(&self, source: &Source, folder: &Folder) -> Result<(), Failure> {
        let length = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
        let needed: u64 = source.segments.iter().map(|(_, _, path)| length(path)).sum();
        let there: u64 = fs::read_dir(folder.path().join("wal"))
            .map_or(0, |all| all.flatten().map(|entry| length(&entry.path())).sum());
        let missing = needed.saturating_sub(there);
        match free_bytes(folder.path()) {
            Some(free) if free < missing => Err(Failure::transient(format!(
                "PL-0345: what the copy holds after the fork takes {missing} bytes in {}, {free} are free",
                folder.path().display()
            ))
            .hint(ROOM)),
            _ => Ok(()),
        }
    }

    /// Copies segments, histories and the server's log.
    async fn bring(&self, source: &Source, folder: &Folder, work: &Work<'_>) -> Result<Vec<File>, Failure> {
        let mut wanted: Vec<(PathBuf, String)> = Vec::new();
        let mut add = |path: &Path, below: &str| {
            if let Some(name) = path.file_name().and_then(|n| n.to_str()) {
                wanted.push((path.to_owned(), format!("{below}{name}")));
            }
        };
        source.segments.iter().for_each(|(_, _, path)| add(path, "wal/"));
        let histories = fs::read_dir(&source.wal).into_iter().flatten().flatten().map(|e| e.path());
        histories.filter(|p| p.extension().is_some_and(|e| e == "history")).for_each(|p| add(&p, "wal/"));
        if self.log_path().exists() {
            add(&self.log_path(), "");
        }
        let (inner, stop) = (folder.clone(), self.stopper(work));
        let bring =
            move || wanted.iter().map(|(from, name)| inner.bring(from, name, &stop)).collect::<io::Result<Vec<File>>>();
        let brought = tokio::task::spawn_blocking(bring).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        brought.map_err(|e| not_kept(folder.path(), &e))
    }

    /// Reads every piece to its end, and around what cannot be read. An encrypted bundle is read where it came from: the same
    /// bytes, by their hashes.
    async fn walk(
        &self,
        tail: &Tail,
        source: &Source,
        folder: &Folder,
        program: &Path,
        work: &Work<'_>,
    ) -> Result<Told, Failure> {
        let wal = if folder.is_sealed() { source.wal.clone() } else { folder.path().join("wal") };
        let mut told = Told { found: Walk::new(tail.fork.1), walked: Vec::new(), missing: None };
        let last = source.pieces.len().saturating_sub(1);
        for (index, piece) in source.pieces.iter().enumerate() {
            let until = (index != last).then_some(piece.until);
            let (timeline, segment_bytes) = (piece.timeline, source.segment_bytes);
            let mut next = Some(if index == 0 { source.start } else { piece.from });
            let mut hole = None;
            while let Some(from) = next {
                let stretch = Stretch { program, wal: &wal, timeline, from, until, segment_bytes, only: None };
                let mut any = false;
                let end = walk::read(&stretch, work, |line| any |= told.found.take(line)).await?;
                let end = if any { end } else { from };
                if any {
                    told.walked.push(Walked { from: tail.place(timeline, from), until: tail.place(timeline, end) });
                    if let Some(missing) = &mut told.missing {
                        missing.until.get_or_insert_with(|| tail.place(timeline, from));
                    }
                    hole = None;
                }
                if end >= piece.until {
                    break;
                }
                let at = tail.place(timeline, end.max(tail.fork.1));
                told.missing.get_or_insert(Missing { from: at, until: None }).until = None;
                told.found.hole();
                let hole = *hole.get_or_insert(end);
                next = tail::again(piece, (hole, end), &source.segments, segment_bytes);
            }
        }
        Ok(told)
    }

    /// What the bundle says of itself, and its commits.
    fn describe(
        &self,
        tail: &Tail,
        found: &Walk,
        names: &BTreeMap<Rel, Name>,
        work: &Work<'_>,
    ) -> (Bundle, Vec<Commit>) {
        let commits: Vec<Commit> = found.commits.iter().filter_map(|c| commit(c, names)).collect();
        let told: BTreeSet<u64> = commits.iter().map(|c| c.transaction).collect();
        let lost = found.commits.iter().filter(|c| told.contains(&u64::from(c.xid)));
        let about = Bundle {
            bundle: tail.id(self),
            component: self.component.clone(),
            region: self.region.clone(),
            upstream: tail.upstream.clone(),
            unit: work.unit.clone(),
            epoch: work.epoch,
            captured: self.clock.wall(),
            fork: tail.place(tail.fork.0, tail.fork.1),
            end: tail.place(tail.own.timeline, tail.own.end.unwrap_or(tail.fork.1)),
            missing: None,
            commits: commits.len() as u64,
            first: commits.iter().filter_map(|c| c.at).min(),
            last: commits.iter().filter_map(|c| c.at).max(),
            touched: touched(lost, names),
            rows: Rows::Left { why: String::new() },
            horizon: found.horizon.map(u64::from),
            notes: notes(found, names),
            sealed: false,
        };
        (about, commits)
    }

    fn write_commits(&self, folder: &Folder, commits: &[Commit], work: &Work<'_>) -> Result<File, Failure> {
        let stop = self.stopper(work);
        let written =
            folder.put(COMMITS, &mut |to| bundle::write_lines(to, commits)).and_then(|()| folder.entry(COMMITS, &stop));
        written.map_err(|e| not_kept(folder.path(), &e))
    }

    /// Tells copying that it is to stop.
    pub(super) fn stopper(&self, work: &Work<'_>) -> impl Fn() -> bool + Send + 'static {
        let (stop, clock, end) = (work.stop.clone(), self.clock.clone(), work.now() + work.left());
        move || stop.is_cancelled() || end.since(clock.mono()).is_zero()
    }
}

/// What stands for the tables of a transaction of which nothing of the user's can be seen.
const UNSEEN: &str = "unknown: it wrote before the kept log, or where it cannot be read";

/// PostgreSQL streams from the beginning of a segment, and does not compare what is there (tried).
const SPOILT: &str = "it was turned to that server before, which may have written over its log: transactions may be missing, or be \
    the other's";

/// A commit as it is told; none for one that touched nothing but Pilotlight's own tables. Of one that began before the
/// walked log that cannot be said.
fn commit(raw: &RawCommit, names: &BTreeMap<Rel, Name>) -> Option<Commit> {
    let touched = raw.touched.keys().filter_map(|rel| names.get(rel));
    let mut tables: BTreeSet<String> = touched.filter(|n| !n.is_ours()).map(Name::show).collect();
    if tables.is_empty() {
        if raw.whole {
            return None;
        }
        tables.insert(UNSEEN.to_owned());
    }
    Some(Commit {
        transaction: u64::from(raw.xid),
        position: raw.lsn.to_string(),
        at: raw.at,
        tables: tables.into_iter().collect(),
    })
}

fn touched<'a>(commits: impl Iterator<Item = &'a RawCommit>, names: &BTreeMap<Rel, Name>) -> Vec<Touched> {
    let mut sums: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (rel, counts) in commits.flat_map(|c| &c.touched) {
        if let Some(name) = names.get(rel).filter(|n| !n.is_ours() && !n.is_of_the_system()) {
            let sum = sums.entry(name.show()).or_default();
            (0..3).for_each(|i| sum[i] += counts[i]);
        }
    }
    let tell =
        |(table, [inserted, updated, deleted]): (String, [u64; 3])| Touched { table, inserted, updated, deleted };
    sums.into_iter().map(tell).collect()
}

/// What the rows will not tell.
fn notes(found: &Walk, names: &BTreeMap<Rel, Name>) -> Vec<String> {
    let mut notes = Vec::new();
    let unseen: Vec<String> = found.commits.iter().filter(|c| !c.whole).map(|c| c.xid.to_string()).collect();
    if !unseen.is_empty() {
        notes.push(format!(
            "transactions may have written before the kept log, or where it cannot be read; it tells only their other changes: {}",
            unseen.join(", ")
        ));
    }
    if names.values().any(Name::is_of_the_system) {
        notes.push("definitions were changed (DDL, statistics): such changes are not in the rows".to_owned());
    }
    if found.sequences {
        notes.push("sequences were advanced: their values are not in the rows".to_owned());
    }
    if found.messages {
        notes.push("logical messages were written (pg_logical_emit_message): they are in the log only".to_owned());
    }
    if names.values().any(|n| n.elsewhere) {
        notes.push("tables of other databases were touched: their rows are not in the bundle".to_owned());
    }
    if !found.prepared.is_empty() {
        notes.push("transactions were prepared and not ended: they are not counted".to_owned());
    }
    notes
}

const ROOM: &str = "make room there: nothing is rewound or built anew before what only this copy holds is safe";

pub(super) fn not_kept(path: &Path, error: &io::Error) -> Failure {
    Failure::transient(format!(
        "PL-0345: what the copy holds after the fork cannot be kept in {}: {error}",
        path.display()
    ))
    .hint(ROOM)
}

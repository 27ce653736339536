//! Whether a copy and its upstream have one history: by the files that say where timelines parted, and by the log.
//!
//! Histories name timelines by number and say where each was left, no more: two servers that were promoted at the same place
//! have equal ones. Their logs differ from the first record on, which tells the time of the promotion. So the last stretch
//! that both should have in common is read on both sides.

use super::PostgresDriver;
use super::directory::{Directory, segment_name};
use super::lsn::{History, Lsn};
use super::session::{column, literal};
use super::upstream::Upstream;
use super::waits::middle_of;
use super::way::{Log, Stand, Way, way};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;
use ring::digest;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

/// What two logs are compared by at most. They are never the same again once they have parted: commits tell their time.
const STRETCH: u64 = 1 << 20;

/// A page of the log, and what precedes the first record on the first page of a segment and on any other.
const PAGE: (u64, u64, u64) = (8_192, 40, 24);

/// The head of a record, with its sum.
const HEAD: u64 = 24;

/// A question to the upstream.
const ASK: Duration = Duration::from_secs(3);

/// A question to a standby that is to be waited for: meanwhile the turns of the unit's copies are held.
const ASK_KIN: Duration = Duration::from_millis(1_000);

/// A stretch of one segment, on the timeline whose log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    from: Lsn,
    bytes: u64,
}

impl Stretch {
    /// What the copy and an upstream that left its timeline at `left_at` should have in common.
    fn of(own: &Stand, left_at: Lsn, segment_bytes: u64) -> Option<Stretch> {
        let Some(end) = own.end else { return Stretch::first(own, segment_bytes) };
        let until = end.min(left_at).0;
        let begin = until.checked_sub(1)? / segment_bytes * segment_bytes;
        let from = begin.max(until.saturating_sub(STRETCH));
        Some(Stretch { from: Lsn(from), bytes: until - from })
    }

    /// The head of the first record of the copy's timeline.
    fn first(own: &Stand, segment_bytes: u64) -> Option<Stretch> {
        let (page, long, short) = PAGE;
        let (_, begun) = own.history.0.last()?;
        let from = match begun.0 {
            at if at % segment_bytes == 0 => at + long,
            at if at % page == 0 => at + short,
            at => at,
        };
        let left = segment_bytes - from % segment_bytes;
        Some(Stretch { from: Lsn(from), bytes: HEAD.min(left) })
    }

    fn offset(self, segment_bytes: u64) -> u64 {
        self.from.0 % segment_bytes
    }

    /// The SHA-256 of it in a directory; nothing where it is not there or was never written.
    fn sum(self, directory: &Directory, timeline: u32, segment_bytes: u64) -> Option<String> {
        let read = || {
            let name = segment_name(timeline, self.from, segment_bytes);
            let mut file = File::open(directory.path().join("pg_wal").join(name))?;
            file.seek(SeekFrom::Start(self.offset(segment_bytes)))?;
            let mut bytes = Vec::new();
            file.take(self.bytes).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        let bytes = read().ok().filter(|b| b.len() as u64 == self.bytes && b.iter().any(|b| *b != 0))?;
        Some(digest::digest(&digest::SHA256, &bytes).as_ref().iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The question for the same on an upstream with these timelines. It has the stretch under the number of the copy's
    /// timeline, set aside where that was archived, or in the segment with which a later one begins.
    fn asks(self, timelines: &[u32], segment_bytes: u64) -> String {
        let sum = |name: String| {
            let offset = self.offset(segment_bytes);
            format!("encode(sha256(pg_read_binary_file('pg_wal/{name}', {offset}, {}, true)), 'hex')", self.bytes)
        };
        let names = timelines.iter().flat_map(|timeline| {
            let name = segment_name(*timeline, self.from, segment_bytes);
            [name.clone(), format!("{name}.partial")]
        });
        format!("SELECT coalesce({}) AS sum", names.map(sum).collect::<Vec<_>>().join(", "))
    }
}

impl PostgresDriver {
    /// How the copy comes to follow; asks the upstream for a part of its log where numbers alone do not say.
    pub(super) async fn way_of(
        &self,
        own: Option<&Stand>,
        upstream: &Region,
        theirs: &Upstream,
    ) -> Result<Way, Failure> {
        let log = match own {
            Some(own) if own.system == theirs.end.system => self.compare_logs(own, upstream, theirs).await?,
            _ => Log::Untold,
        };
        Ok(match way(own, theirs, log) {
            // PostgreSQL would read the file that is there, and leave the older timeline where that says.
            Way::Follow if self.has_another_history(theirs) => {
                let why = format!("what it was told of timeline {} is of another of that number", theirs.end.timeline);
                Way::Build { why }
            }
            way => way,
        })
    }

    fn has_another_history(&self, theirs: &Upstream) -> bool {
        self.directory().history(theirs.end.timeline).is_some_and(|own| own != theirs.history)
    }

    /// Nobody begins the first timeline a second time.
    async fn compare_logs(&self, own: &Stand, upstream: &Region, theirs: &Upstream) -> Result<Log, Failure> {
        let left_at = theirs.timelines().find(|(number, _)| *number == own.timeline && own.timeline > 1);
        let Some((_, left_at)) = left_at else { return Ok(Log::Untold) };
        let size = theirs.segment_bytes;
        let Some(stretch) = Stretch::of(own, left_at, size) else { return Ok(Log::Untold) };
        let Some(ours) = stretch.sum(&self.directory(), own.timeline, size) else { return Ok(Log::Untold) };
        let later: Vec<u32> = theirs.timelines().map(|(t, _)| t).skip_while(|t| *t != own.timeline).collect();
        let rows = self.session_of(self.peer(upstream)?).rows(&stretch.asks(&later, size), ASK, true).await;
        let rows = rows.map_err(|e| {
            Failure::transient(format!("{} in {upstream} cannot be asked for its log: {e}", self.component))
        })?;
        Ok(match rows.first().and_then(|row| column(row, "sum")) {
            None => Log::Untold,
            Some(theirs) if theirs == ours => Log::Same,
            Some(_) => Log::Differs,
        })
    }

    /// A standby that streams from here under this name has another history than this server: it left an earlier timeline at
    /// another place, and whatever it confirms is not what it shows. One that does not say is not held up.
    pub(super) async fn is_kin(&self, name: &str) -> Result<(), Failure> {
        let timeline = self.one_of_own("SELECT pg_walfile_name(pg_current_wal_lsn()) AS it").await;
        let timeline = timeline.and_then(|segment| u32::from_str_radix(segment.get(..8)?, 16).ok());
        let Some(timeline) = timeline.filter(|t| *t > 1) else { return Ok(()) };
        let Some(ours) = self.directory().history(timeline) else { return Ok(()) };
        // Long names are cut, so that those of several regions may look alike: of them it is the one that uses the whole name.
        let is_named = |r: &&Region| name.contains(&middle_of(self.component.as_str(), r.as_str()));
        let named: Vec<&Region> = self.plan.regions.keys().filter(|r| **r != self.region).filter(is_named).collect();
        for region in &named {
            let Some((theirs, uses)) = self.kin_in(region, timeline, name).await else { continue };
            if theirs != ours && (named.len() == 1 || uses) {
                return Err(Failure::rejected(format!(
                    "{} in {region} has another history than this server, although both are on timeline {timeline}",
                    self.component
                ))
                .hint(format!("`pilotlight rejoin` in {region}: what only it holds is kept, and it is built anew")));
            }
        }
        Ok(())
    }

    /// What the copy in a region says of the timeline, and whether it follows under this name.
    async fn kin_in(&self, region: &Region, timeline: u32, name: &str) -> Option<(History, bool)> {
        let asks = format!(
            "SELECT pg_read_file('pg_wal/{timeline:08X}.history', 0, 1000000, true) AS it, \
             position({} IN current_setting('primary_conninfo')) > 0 AS uses",
            literal(name)
        );
        match self.session_of(self.peer(region).ok()?).rows(&asks, ASK_KIN, true).await {
            Ok(rows) => {
                let row = rows.first()?;
                Some((History::read(column(row, "it")?), column(row, "uses") == Some("t")))
            }
            Err(error) => {
                tracing::debug!(%region, %error, "cannot be asked for its history");
                None
            }
        }
    }

    /// A standby that streams although its history is another than its upstream's: PostgreSQL does not look. One whose
    /// upstream does not say is left alone.
    pub(super) async fn is_strange_to(&self, upstream: &Region) -> bool {
        match self.look_upstream(upstream).await {
            Ok(theirs) => self.has_another_history(&theirs),
            Err(_) => false,
        }
    }

    async fn one_of_own(&self, sql: &str) -> Option<String> {
        let rows = self.write.rows(sql, ASK_KIN, true).await.ok()?;
        rows.first().and_then(|r| column(r, "it")).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 16 << 20;

    fn stand(end: Option<u64>, begun: u64) -> Stand {
        let history = History(vec![(1, Lsn(begun))]);
        Stand { system: "7".to_owned(), timeline: 2, end: end.map(Lsn), history, wrote: true }
    }

    fn of(end: Option<u64>, begun: u64, left_at: u64) -> (u64, u64) {
        let stretch = Stretch::of(&stand(end, begun), Lsn(left_at), SIZE).unwrap();
        assert!(stretch.offset(SIZE) + stretch.bytes <= SIZE, "it lies in one segment");
        (stretch.from.0, stretch.bytes)
    }

    #[test]
    fn logs_are_compared_before_the_nearer_end() {
        assert_eq!(of(Some(SIZE + 500), 100, SIZE + 300), (SIZE, 300));
        assert_eq!(of(Some(SIZE + 200), 100, SIZE + 300), (SIZE, 200));
        assert_eq!(of(Some(2 * SIZE), 100, 3 * SIZE), (2 * SIZE - STRETCH, STRETCH), "the segment before the border");
        assert_eq!(Stretch::of(&stand(Some(0), 100), Lsn(9), SIZE), None);
    }

    #[test]
    fn without_an_end_the_first_record_of_the_timeline_is() {
        assert_eq!(of(None, 104, 300), (104, 24));
        assert_eq!(of(None, 8_192, 300), (8_192 + 24, 24));
        assert_eq!(of(None, SIZE, 300), (SIZE + 40, 24));
        assert_eq!(of(None, SIZE - 8, 300), (SIZE - 8, 8), "the rest of it lies in the next segment");
    }

    #[test]
    fn what_was_never_written_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let wal = folder.path().join("pg_wal");
        std::fs::create_dir(&wal).unwrap();
        let directory = Directory::new(folder.path(), None);
        let stretch = Stretch { from: Lsn(8), bytes: 8 };
        assert_eq!(stretch.sum(&directory, 2, SIZE), None, "no file");
        let file = wal.join(segment_name(2, Lsn(8), SIZE));
        std::fs::write(&file, [0; 16]).unwrap();
        assert_eq!(stretch.sum(&directory, 2, SIZE), None, "nothing in it");
        std::fs::write(&file, [1; 12]).unwrap();
        assert_eq!(stretch.sum(&directory, 2, SIZE), None, "too short");
        std::fs::write(&file, [1; 16]).unwrap();
        assert_eq!(stretch.sum(&directory, 2, SIZE).map(|sum| sum.len()), Some(64));
        assert_eq!(stretch.sum(&directory, 1, SIZE), None, "of another timeline");
    }
}

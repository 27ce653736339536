//! Reading a log with `pg_waldump`: which transactions were committed, when, and which files they touched.
//!
//! The output is read line by line while the program runs: a long tail has millions of records.

use super::super::lsn::Lsn;
use super::super::rejoin::end_in;
use super::super::work::Work;
use pilotlight_core::outcome::Failure;
use pilotlight_core::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

/// A file of a table: tablespace, database, number.
pub(super) type Rel = (u32, u32, u32);

/// Rows inserted, updated, deleted.
pub(super) type Counts = [u64; 3];

/// A committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawCommit {
    pub(super) xid: u32,
    /// Where the commit record begins.
    pub(super) lsn: Lsn,
    pub(super) at: Option<Wall>,
    pub(super) touched: BTreeMap<Rel, Counts>,
    /// It began inside the walked log: what it touched is all it touched.
    pub(super) whole: bool,
}

/// What a walk has gathered so far.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Everything before it is shared with the new writer.
    pub(super) fork: Lsn,
    /// Commits after the fork, in order.
    pub(super) commits: Vec<RawCommit>,
    /// The first transaction number that was not given out before the fork.
    pub(super) horizon: Option<u32>,
    /// A sequence was advanced after the fork.
    pub(super) sequences: bool,
    /// Logical messages of others than Pilotlight were written after the fork.
    pub(super) messages: bool,
    /// A transaction was prepared after the fork and not seen to end.
    pub(super) prepared: BTreeSet<u32>,
    /// The first number that was not given out yet at some place inside the walked log: what has it or a later one began
    /// after that place.
    first: Option<u32>,
    open: BTreeMap<u32, BTreeMap<Rel, Counts>>,
}

/// A stretch to read.
pub(super) struct Stretch<'a> {
    pub(super) program: &'a Path,
    /// The folder with the segments.
    pub(super) wal: &'a Path,
    pub(super) timeline: u32,
    pub(super) from: Lsn,
    /// Where to stop; else at the end of the log.
    pub(super) until: Option<Lsn>,
    pub(super) segment_bytes: u64,
    /// Only these records.
    pub(super) only: Option<&'static str>,
}

/// Reads a stretch and hands each line to `take`. Answers where it ended: before `until` where the log cannot be read further.
pub(super) async fn read(stretch: &Stretch<'_>, work: &Work<'_>, mut take: impl FnMut(&str)) -> Result<Lsn, Failure> {
    let mut command = Command::new(stretch.program);
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir(stretch.wal).kill_on_drop(true);
    command.arg("-p").arg(stretch.wal).args(["-t", &stretch.timeline.to_string(), "-s", &stretch.from.to_string()]);
    if let Some(until) = stretch.until {
        command.args(["-e", &until.to_string()]);
    }
    if let Some(only) = stretch.only {
        command.args(["-r", only]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let lost = |e: std::io::Error| Failure::transient(format!("pg_waldump cannot be read: {e}"));
    let mut child =
        command.spawn().map_err(|e| Failure::rejected(format!("PL-0701: pg_waldump does not start: {e}")))?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::transient("pg_waldump has no output"))?;
    let mut stderr = child.stderr.take().ok_or_else(|| Failure::transient("pg_waldump has no output"))?;
    let reading = async {
        // Names of messages, prepared transactions and restore points are in the letters of their database.
        let (mut lines, mut last) = (BufReader::new(stdout).split(b'\n'), Vec::new());
        while let Some(line) = lines.next_segment().await.map_err(lost)? {
            take(&String::from_utf8_lossy(&line));
            last = line;
        }
        let mut complaint = Vec::new();
        stderr.read_to_end(&mut complaint).await.map_err(lost)?;
        let complaint = String::from_utf8_lossy(&complaint).into_owned();
        let last = Record::of(&String::from_utf8_lossy(&last)).map(|record| record.lsn);
        Ok::<_, Failure>((child.wait().await.map_err(lost)?, complaint, last))
    };
    let (status, complaint, last) = tokio::select! {
        read = reading => read?,
        () = tokio::time::sleep(work.left()) => return Err(Failure::transient("pg_waldump was ended: no time was left")),
        () = work.stop.cancelled() => return Err(Failure::transient("pg_waldump was ended: it was called off")),
    };
    match (status.success(), stretch.until) {
        (true, Some(until)) => Ok(until),
        (false, _) if is_damage(&complaint) => Ok(last.unwrap_or(stretch.from)),
        _ => end_in(&complaint, stretch.segment_bytes).ok_or_else(|| {
            Failure::transient(format!("pg_waldump did not get to the end of {}", stretch.wal.display()))
                .output(complaint)
        }),
    }
}

/// It complains of what is in the log, without saying where the last record ends: no record begins there, a segment is too
/// short, or its beginning is not that of a segment.
fn is_damage(complaint: &str) -> bool {
    let short = complaint.contains("could not read") && complaint.contains(": read ");
    short || ["could not find a valid record after", "WAL segment size"].iter().any(|what| complaint.contains(what))
}

/// A line of `pg_waldump`.
struct Record<'a> {
    manager: &'a str,
    xid: u32,
    lsn: Lsn,
    text: &'a str,
}

impl Record<'_> {
    fn of(line: &str) -> Option<Record<'_>> {
        let (manager, rest) = line.strip_prefix("rmgr: ")?.split_once(' ')?;
        let (_, rest) = rest.split_once("tx:")?;
        let (xid, rest) = rest.split_once(',')?;
        let (_, rest) = rest.split_once("lsn: ")?;
        let (lsn, rest) = rest.split_once(',')?;
        let (_, text) = rest.split_once("desc: ")?;
        Some(Record { manager, xid: xid.trim().parse().ok()?, lsn: lsn.parse().ok()?, text })
    }

    /// The first file it touches.
    fn rel(&self) -> Option<Rel> {
        let (_, rest) = self.text.split_once("rel ")?;
        let mut numbers = rest.split([' ', ',']).next()?.split('/').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

/// The running transactions and the next number that a record tells of.
pub(super) fn next_number(line: &str) -> Option<(Lsn, u32)> {
    let record = Record::of(line).filter(|r| r.manager == "Standby")?;
    let (_, rest) = record.text.split_once("nextXid ")?;
    Some((record.lsn, rest.split(' ').next()?.parse().ok()?))
}

impl Walk {
    pub(super) fn new(fork: Lsn) -> Walk {
        Walk { fork, ..Walk::default() }
    }

    /// A part of the log cannot be read: what began before it may have written inside it.
    pub(super) fn hole(&mut self) {
        self.first = None;
    }

    /// Takes the next line. Answers whether it was a record.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let Some(record) = Record::of(line) else { return false };
        let told = next_number(line).map(|(_, next)| next);
        self.first = self.first.or(told);
        if record.lsn < self.fork {
            for next in told.into_iter().chain((record.xid > 0).then(|| record.xid.wrapping_add(1))) {
                let newer = self.horizon.is_none_or(|h| is_not_before(next, h));
                self.horizon = if newer { Some(next) } else { self.horizon };
            }
        }
        match record.manager {
            "Heap" | "Heap2" => self.touch(&record),
            "Transaction" => self.transaction(&record),
            "Sequence" => self.sequences |= record.lsn >= self.fork,
            "LogicalMessage" => {
                self.messages |= record.lsn >= self.fork && !record.text.contains("prefix \"pilotlight\"");
            }
            _ => {}
        }
        true
    }

    fn touch(&mut self, record: &Record<'_>) {
        let mut words = record.text.split([' ', '+']);
        let word = words.next().unwrap_or_default();
        let (kind, times) = match word {
            "INSERT" => (0, 1),
            // `5 tuples flags 0x02`; from PostgreSQL 16 on `ntuples: 5, flags: 0x02`.
            "MULTI_INSERT" => (0, words.find_map(|w| w.trim_end_matches(',').parse().ok()).unwrap_or(1)),
            "UPDATE" | "HOT_UPDATE" => (1, 1),
            "DELETE" => (2, 1),
            _ => return,
        };
        if let Some(rel) = record.rel() {
            self.open.entry(record.xid).or_default().entry(rel).or_default()[kind] += times;
        }
    }

    fn transaction(&mut self, record: &Record<'_>) {
        let (word, rest) = record.text.split_once(' ').unwrap_or((record.text, ""));
        // With the others the transaction goes on: they tell whose subtransactions some are, which its end tells again, or that
        // a definition was changed.
        if !["COMMIT", "ABORT", "PREPARE", "COMMIT_PREPARED", "ABORT_PREPARED"].contains(&word) {
            return;
        }
        let (xid, rest) = match (word, rest.split_once(": ")) {
            // A prepared transaction is ended by another one, which names it first.
            ("COMMIT_PREPARED" | "ABORT_PREPARED", Some((xid, rest))) => (xid.parse().unwrap_or(record.xid), rest),
            _ => (record.xid, rest),
        };
        let mut touched = self.take_open(xid);
        for sub in subtransactions(rest) {
            for (rel, counts) in self.take_open(sub) {
                let sum = touched.entry(rel).or_default();
                (0..3).for_each(|i| sum[i] += counts[i]);
            }
        }
        match word {
            "COMMIT" | "COMMIT_PREPARED" => {
                self.prepared.remove(&xid);
                if record.lsn >= self.fork {
                    let whole = self.first.is_some_and(|first| is_not_before(xid, first));
                    self.commits.push(RawCommit { xid, lsn: record.lsn, at: time(rest), touched, whole });
                }
            }
            "PREPARE" => {
                self.prepared.insert(xid);
                self.open.insert(xid, touched);
            }
            "ABORT_PREPARED" => drop(self.prepared.remove(&xid)),
            _ => {}
        }
    }

    fn take_open(&mut self, xid: u32) -> BTreeMap<Rel, Counts> {
        self.open.remove(&xid).unwrap_or_default()
    }
}

/// Numbers go round: `a` is `b` or was given out after it.
pub(super) fn is_not_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < 1 << 31
}

/// Whether a row that carries this number was written from the horizon on. It keeps its number when it is frozen, so one that
/// has not been given out since is of long before, however near it looks.
pub(super) fn is_since(number: u32, horizon: u32, next: u32) -> bool {
    number.wrapping_sub(horizon) < next.wrapping_sub(horizon)
}

fn subtransactions(text: &str) -> Vec<u32> {
    let Some((_, rest)) = text.split_once("subxacts:") else { return Vec::new() };
    rest.split(';').next().unwrap_or_default().split_whitespace().filter_map(|w| w.parse().ok()).collect()
}

/// `2026-11-26 07:20:53.656459 UTC`, also with `+00` and without a zone, as milliseconds since 1970.
pub(super) fn time(text: &str) -> Option<Wall> {
    let text = text.trim();
    let (date, rest) = text.split_once(' ')?;
    let clock = rest.split([' ', '+', ';']).next()?;
    let numbers = |text: &str, at: char| text.split(at).map(str::parse::<i64>).collect::<Result<Vec<_>, _>>().ok();
    let [year, month, day] = numbers(date, '-')?.try_into().ok()?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':')?.try_into().ok()?;
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    // Days from the civil date, after H. Hinnant.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    u64::try_from(seconds * 1_000 + millis).ok().map(Wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::time::show_wall;

    const LOG: &str = "\
rmgr: Standby     len (rec/tot):     50/    50, tx:          0, lsn: 0/0153AE10, prev 0/0153A998, desc: RUNNING_XACTS nextXid 730 latestCompletedXid 729 oldestRunningXid 730
rmgr: Heap        len (rec/tot):    187/   187, tx:        730, lsn: 0/0154BB10, prev 0/0154BAD0, desc: INSERT+INIT off 1 flags 0x08, blkref #0: rel 1663/5/16385 blk 0
rmgr: Transaction len (rec/tot):     46/    46, tx:        730, lsn: 0/0154BC70, prev 0/0154BC30, desc: COMMIT 2026-11-26 07:20:53.656459 UTC
rmgr: Heap        len (rec/tot):    182/   182, tx:        731, lsn: 0/0154BCD8, prev 0/0154BCA0, desc: HOT_UPDATE off 1 xmax 731 flags 0x10 ; new off 2 xmax 0, blkref #0: rel 1663/5/16385 blk 0
rmgr: Heap2       len (rec/tot):    182/   182, tx:        732, lsn: 0/0154BCE8, prev 0/0154BCA0, desc: MULTI_INSERT+INIT 5 tuples flags 0x02, blkref #0: rel 1663/5/16390 blk 0
rmgr: Heap        len (rec/tot):     54/    54, tx:        733, lsn: 0/0154BCF0, prev 0/0154BCA0, desc: DELETE off 2 flags 0x00 KEYS_UPDATED , blkref #0: rel 1663/5/16385 blk 0
rmgr: Transaction len (rec/tot):     46/    46, tx:        731, lsn: 0/0154BD90, prev 0/0154BCD8, desc: COMMIT 2026-11-26 07:20:53.656876 UTC; subxacts: 732; relcache init file inval
rmgr: Transaction len (rec/tot):     46/    46, tx:        733, lsn: 0/0154BDA0, prev 0/0154BCD8, desc: ABORT 2026-11-26 07:20:53.656876 UTC
";

    #[test]
    fn commits_after_the_fork_and_what_they_touched_are_gathered() {
        let mut walk = Walk::new("0/154BCA0".parse().unwrap());
        assert!(LOG.lines().all(|line| walk.take(line)));
        assert_eq!(walk.horizon, Some(731));
        let [commit] = walk.commits.as_slice() else { panic!("{walk:?}") };
        assert_eq!((commit.xid, commit.lsn.to_string().as_str()), (731, "0/154BD90"));
        assert_eq!(commit.touched, BTreeMap::from([((1663, 5, 16385), [0, 1, 0]), ((1663, 5, 16390), [5, 0, 0])]));
        assert_eq!(commit.at.map(show_wall).as_deref(), Some("2026-11-26T07:20:53.656Z"));
    }

    #[test]
    fn rows_inserted_at_once_are_counted_as_each_release_tells_them() {
        for told in ["MULTI_INSERT+INIT 5 tuples flags 0x02", "MULTI_INSERT+INIT ntuples: 5, flags: 0x02"] {
            let mut walk = Walk::new(Lsn(0));
            walk.take(&format!(
                "rmgr: Heap2 len (rec/tot): 1/ 1, tx: 732, lsn: 0/00000010, prev 0/0, desc: {told}, blkref #0: rel 1663/5/16390 blk 7"
            ));
            walk.take("rmgr: Transaction len (rec/tot): 1/ 1, tx: 732, lsn: 0/00000020, prev 0/0, desc: COMMIT 2026-11-26 07:20:53.656459 UTC");
            assert_eq!(walk.commits[0].touched, BTreeMap::from([((1663, 5, 16390), [5, 0, 0])]), "{told}");
        }
    }

    #[test]
    fn what_a_transaction_does_on_its_way_takes_nothing_of_it_away() {
        let line = |manager: &str, xid: u32, at: u32, text: &str| {
            format!(
                "rmgr: {manager:11} len (rec/tot): 59/ 59, tx: {xid:10}, lsn: 0/{at:08X}, prev 0/0153A998, desc: {text}"
            )
        };
        let insert = |off: u32| format!("INSERT off {off} flags 0x08, blkref #0: rel 1663/5/16385 blk 0");
        let mut walk = Walk::new(Lsn(0));
        let subs = |n: u32| (731..731 + n).map(|xid| xid.to_string()).collect::<Vec<_>>().join(" ");
        let inval = "INVALIDATION ; inval msgs: catcache 55 catcache 54 relcache 16385";
        walk.take(&line("Heap", 730, 0x100, &insert(1)));
        for n in 0..70 {
            // Told with the last that fits, before that one writes.
            if n == 63 {
                let told = format!("ASSIGNMENT xtop 730: subxacts: {}", subs(64));
                walk.take(&line("Transaction", 794, 0x200, &told));
            }
            walk.take(&line("Heap", 731 + n, 0x201 + n, &insert(2 + n)));
        }
        walk.take(&line("Transaction", 740, 0x300, "ABORT 2026-11-26 07:20:53.656459 UTC; subxacts: 741"));
        walk.take(&line("Transaction", 730, 0x310, inval));
        let told = subs(70).replace(" 740 741", "");
        walk.take(&line(
            "Transaction",
            730,
            0x320,
            &format!("COMMIT 2026-11-26 07:20:53.656459 UTC; subxacts: {told}"),
        ));
        let [commit] = walk.commits.as_slice() else { panic!("{walk:?}") };
        assert_eq!((commit.xid, &commit.touched), (730, &BTreeMap::from([((1663, 5, 16385), [69, 0, 0])])));
        assert!(walk.open.is_empty(), "{walk:?}");
    }

    #[test]
    fn what_began_before_the_walked_log_is_told_apart() {
        let line = |manager: &str, xid: u32, at: u32, text: &str| {
            format!("rmgr: {manager} len (rec/tot): 46/ 46, tx: {xid}, lsn: 0/{at:08X}, prev 0/0, desc: {text}")
        };
        let mut walk = Walk::new(Lsn(0x150));
        for line in [
            line("Heap", 727, 0x100, "INSERT off 1 flags 0x08, blkref #0: rel 1663/5/16385 blk 0"),
            line(
                "Standby",
                0,
                0x110,
                "RUNNING_XACTS nextXid 730 latestCompletedXid 726 oldestRunningXid 727; 2 xacts: 727 728",
            ),
            line("Heap", 730, 0x200, "INSERT off 2 flags 0x08, blkref #0: rel 1663/5/16385 blk 0"),
            line("Transaction", 730, 0x210, "PREPARE gid late: 2026-11-26 07:20:53.656459 UTC"),
            line("Standby", 0, 0x215, "RUNNING_XACTS nextXid 740 latestCompletedXid 739 oldestRunningXid 725"),
            line("Transaction", 0, 0x220, "COMMIT_PREPARED 730: 2026-11-26 07:20:53.656459 UTC"),
            line("Transaction", 0, 0x230, "COMMIT_PREPARED 725: 2026-11-26 07:20:53.656459 UTC"),
            line("Transaction", 728, 0x240, "COMMIT 2026-11-26 07:20:53.656459 UTC"),
            line("Transaction", 727, 0x250, "COMMIT 2026-11-26 07:20:53.656459 UTC"),
            line("Transaction", 741, 0x260, "COMMIT 2026-11-26 07:20:53.656459 UTC"),
        ] {
            walk.take(&line);
        }
        let told: Vec<(u32, bool, usize)> = walk.commits.iter().map(|c| (c.xid, c.whole, c.touched.len())).collect();
        assert_eq!(told, [(730, true, 1), (725, false, 0), (728, false, 0), (727, false, 1), (741, true, 0)]);
    }

    #[test]
    fn damage_is_told_from_what_may_pass() {
        for (complaint, damage) in [
            ("could not find a valid record after 0/1000000", true),
            ("could not read from file 000000010000000000000001, offset 3000000: read 0 of 6464", true),
            ("could not read file \"000000010000000000000001\": read 100 of 8192", true),
            ("WAL segment size must be a power of two between 1 MB and 1 GB, but the WAL file \"1\" specifies 0", true),
            ("invalid WAL segment size in WAL file \"000000010000000000000001\" (0 bytes)", true),
            ("could not read file \"000000010000000000000001\": Input/output error", false),
            ("out of memory", false),
        ] {
            assert_eq!(is_damage(&format!("pg_waldump: error: {complaint}\n")), damage, "{complaint}");
        }
    }

    #[test]
    fn a_transaction_that_was_open_before_a_hole_may_have_written_in_it() {
        let line = |xid: u32, at: u32, text: &str| {
            let manager = if xid == 0 { "Standby" } else { "Transaction" };
            format!("rmgr: {manager} len (rec/tot): 46/ 46, tx: {xid}, lsn: 0/{at:08X}, prev 0/0, desc: {text}")
        };
        let (running, commit) =
            (|next: u32| format!("RUNNING_XACTS nextXid {next} x"), "COMMIT 2026-11-26 07:20:53 UTC");
        let mut walk = Walk::new(Lsn(0));
        walk.take(&line(0, 0x100, &running(730)));
        walk.take(&line(730, 0x110, commit));
        walk.hole();
        walk.take(&line(731, 0x400, commit));
        walk.take(&line(0, 0x410, &running(740)));
        walk.take(&line(732, 0x420, commit));
        walk.take(&line(740, 0x430, commit));
        let told: Vec<(u32, bool)> = walk.commits.iter().map(|c| (c.xid, c.whole)).collect();
        assert_eq!(told, [(730, true), (731, false), (732, false), (740, true)]);
    }

    #[test]
    fn times_are_read_as_the_programs_write_them() {
        for (text, expected) in [
            ("2026-11-26 07:20:53.656459 UTC", "2026-11-26T07:20:53.656Z"),
            ("2024-02-29 23:59:59+00", "2024-02-29T23:59:59.000Z"),
            ("1970-01-01 00:00:00.5 UTC; subxacts: 3", "1970-01-01T00:00:00.500Z"),
        ] {
            assert_eq!(time(text).map(show_wall).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn transaction_numbers_go_round() {
        assert!(is_not_before(5, 5) && is_not_before(6, 5) && !is_not_before(4, 5));
        assert!(is_not_before(3, u32::MAX - 3) && !is_not_before(u32::MAX - 3, 3));
    }

    #[test]
    fn a_row_that_nobody_touched_for_ages_is_not_of_the_new_writer() {
        let (fork, now) = (3_000_000_000, 3_000_000_500);
        for (number, since) in
            [(2_999_999_999, false), (fork, true), (now - 1, true), (now, false), (4_000_000_000, false)]
        {
            assert_eq!(is_since(number, fork, now), since, "{number}");
        }
        // 2^31 transactions and more before.
        assert!(!is_since(900_000_000, 3_100_000_000, 3_100_000_500));
        // Numbers went round between the fork and now.
        let (fork, now) = (u32::MAX - 3, 100);
        assert!(is_since(5, fork, now) && is_since(fork, fork, now) && !is_since(fork - 1, fork, now));
        assert!(!is_since(100, fork, now) && !is_since(2_000_000_000, fork, now));
        // More than half of all numbers since the fork.
        assert!(is_since(2_500_000_000, 100, 3_000_000_000) && !is_since(3_500_000_000, 100, 3_000_000_000));
    }
}

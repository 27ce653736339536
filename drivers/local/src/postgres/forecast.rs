//! What a rejoin would do to a stopped copy, and how long building it anew takes as far as that was ever measured here.
//!
//! Border: reads only, and less than the rejoin itself: the log of the copy is not walked, so where it ends may stay open.

use super::PostgresDriver;
use super::control::Control;
use super::durable;
use super::processes;
use super::rejoin::stand_at;
use super::upstream::Upstream;
use super::way::{Log, Way, way};
use pilotlight_core::code::{self, Code};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::{PostgresPlan, Rebuild};
use pilotlight_core::time::show_duration;
use std::path::Path;
use std::time::Duration;

/// Where the last rate is kept, in the agent's folder of the component.
const RATE: &str = "rebuild-rate";

/// How fast a copy was made here last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Bytes that were copied.
    pub(super) bytes: u64,
    /// What that took.
    pub(super) took: Duration,
}

impl Rate {
    /// Keeps it for the next forecast. It is only a figure: a failure is worth a line in the log.
    pub(super) fn keep(self, folder: &Path) {
        let text = format!("{} {}\n", self.bytes, self.took.as_millis());
        if let Err(error) = durable::write(&folder.join(RATE), text.as_bytes(), None) {
            tracing::warn!(%error, "how fast the copy was made cannot be kept");
        }
    }

    /// The last one, if there was one.
    pub(super) fn last(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(RATE)).ok()?;
        let (bytes, ms) = text.trim().split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, took: Duration::from_millis(ms.parse().ok()?) })
    }

    /// What so many bytes take at this rate.
    fn time_of(self, bytes: u64) -> Option<Duration> {
        let ms = u128::from(bytes) * self.took.as_millis() / u128::from(self.bytes.max(1));
        u64::try_from(ms).ok().map(Duration::from_millis)
    }
}

/// Size and time of a copy made anew, honest about what it rests on.
fn estimate(bytes: u64, rate: Option<Rate>) -> String {
    let size = format!("{} MB", bytes.div_ceil(1_000_000));
    // A small copy is all start and end; its rate says nothing of a large one.
    match rate.filter(|r| r.bytes > 0).and_then(|r| Some((r, r.time_of(bytes)?))) {
        Some((rate, time)) => {
            let (copied, took) = (rate.bytes.div_ceil(1_000_000), show_duration(rate.took));
            format!("{size}, about {} at the rate of the last one here ({copied} MB in {took})", show_duration(time))
        }
        None => format!("{size}; how long that takes was never measured here"),
    }
}

/// Why a copy of so many bytes may not be built anew by a program, with its code; `None` when it may.
pub(super) fn barred(plan: &PostgresPlan, bytes: u64, rate: Option<Rate>) -> Option<(Code, String)> {
    if plan.rebuild == Rebuild::ByHand {
        return Some((code::REBUILD_BY_HAND, "the plan says `rebuild: by-hand`".to_owned()));
    }
    let time = rate.filter(|r| r.bytes > 0)?.time_of(bytes)?;
    let most = show_duration(plan.rejoin_within);
    (time > plan.rejoin_within).then(|| {
        let why = format!("that would take longer than the {most} of `rejoin_within`: {}", estimate(bytes, rate));
        (code::REBUILD_TOO_LONG, why)
    })
}

/// What is known of a stopped copy besides where it stands.
struct Fitness {
    /// Its pages can be compared: checksums or hint bits in the log.
    comparable: bool,
    /// The beginning of its own log that is left.
    oldest: Option<super::lsn::Lsn>,
}

/// What building a copy anew means here.
struct Anew {
    /// Size and time.
    estimate: String,
    /// Why no program may do it.
    barred: Option<(Code, String)>,
}

fn findings(here: &str, way: &Way, fitness: &Fitness, building: &Anew) -> Vec<Finding> {
    let Anew { estimate, barred } = building;
    let finding = |code: Code, severity, message, hint: &str| Finding {
        code: code.to_string(),
        severity,
        message,
        hint: hint.to_owned(),
    };
    let anew = |why: &str| {
        if let Some((code, no)) = barred {
            let message = format!("{here} cannot follow, because {why}, and is not built anew: {no}");
            let hint =
                "make the copy by hand and run `pilotlight rejoin`, or change the plan; there is no standby meanwhile";
            return finding(*code, Severity::Blocker, message, hint);
        }
        let message = format!("{here} will be built anew, because {why}: {estimate}");
        finding(code::BUILT_ANEW, Severity::Warning, message, "have that time and room; there is no standby meanwhile")
    };
    match way {
        Way::Follow => Vec::new(),
        Way::Build { why } | Way::Replace { why, .. } => vec![anew(why)],
        Way::Refuse { why } => {
            let hint =
                "look at both servers; to give this copy up, move its data directory away, then `pilotlight rejoin`";
            vec![finding(code::REJOIN_REFUSED, Severity::Blocker, format!("{here} cannot follow: {why}"), hint)]
        }
        Way::Rewind { .. } if !fitness.comparable => {
            vec![anew("it has neither data checksums nor wal_log_hints and cannot be rewound")]
        }
        Way::Rewind { from, .. } if fitness.oldest.is_none_or(|oldest| oldest > *from) => {
            vec![anew(&format!("it has no log of its own any more from {from}, where it left the upstream"))]
        }
        Way::Rewind { timeline, from } => {
            let otherwise = match barred {
                None => format!("built anew if that fails: {estimate}"),
                Some((_, no)) => format!("not built anew if that fails: {no}"),
            };
            let message = format!("{here} will be rewound to {from} of timeline {timeline}; {otherwise}");
            vec![finding(
                code::WILL_REWIND,
                Severity::Note,
                message,
                "what only it holds is kept in a rescue bundle first",
            )]
        }
    }
}

impl PostgresDriver {
    /// What a rejoin of this copy would do; nothing is said of one that runs.
    pub(super) async fn forecast(&self, upstream: &Region, theirs: &Upstream) -> Vec<Finding> {
        let directory = self.directory();
        if processes::postmaster(&directory).is_some() {
            return Vec::new();
        }
        let here = format!("{} in {}", self.component, self.region);
        let rate = Rate::last(&self.state_dir);
        let building = Anew { estimate: estimate(theirs.bytes, rate), barred: barred(&self.plan, theirs.bytes, rate) };
        let gone = self.is_gone(&directory);
        let database = match directory.database() {
            Ok(database) => database,
            Err(failure) => return vec![Finding::unseen(&here, &failure)],
        };
        if gone {
            let message =
                format!("the data directory of {here} is empty, and was not: only a person's rejoin builds there");
            let hint = "mount its disk if it is only away; what it held and nobody else does is given up by a rejoin";
            let severity = Severity::Warning;
            let empty = Finding { code: code::DATA_DAMAGED.to_string(), severity, message, hint: hint.to_owned() };
            let anew = Fitness { comparable: true, oldest: None };
            return [vec![empty], findings(&here, &way(None, theirs, Log::Untold), &anew, &building)].concat();
        }
        if !database || self.cut_rewind(&directory).is_some() {
            let nothing = Fitness { comparable: true, oldest: None };
            return findings(&here, &way(None, theirs, Log::Untold), &nothing, &building);
        }
        let Ok(control) = Control::of(&directory, &self.programs).await else { return Vec::new() };
        let timeline = control.checkpoint.timeline;
        let segments = directory.segments(control.segment_bytes).unwrap_or_default();
        let end = control.is_shut_down_writer().then(|| control.hand_over().lsn);
        let own = stand_at(&directory, &control, timeline, end);
        let first = segments.iter().map(|(_, number, _)| number * control.segment_bytes).min();
        let fitness = Fitness { comparable: control.comparable, oldest: first.map(super::lsn::Lsn) };
        match self.way_of(Some(&own), upstream, theirs).await {
            Ok(way) => findings(&here, &way, &fitness, &building),
            Err(failure) => vec![Finding::unseen(&here, &failure)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lsn::Lsn;
    use super::*;

    const REWIND: Way = Way::Rewind { timeline: 1, from: Lsn(500) };

    fn found(way: &Way, comparable: bool, oldest: Option<u64>) -> Vec<(String, Severity, String)> {
        let fitness = Fitness { comparable, oldest: oldest.map(Lsn) };
        let building = Anew { estimate: "1 MB".to_owned(), barred: None };
        let found = findings("db in east", way, &fitness, &building);
        found.into_iter().map(|f| (f.code, f.severity, f.message)).collect()
    }

    #[test]
    fn each_way_has_its_finding() {
        let build = Way::Build { why: "there is no database".to_owned() };
        let refuse = Way::Refuse { why: "it is a copy of another system".to_owned() };
        assert_eq!(found(&Way::Follow, true, Some(1)), []);
        for (way, comparable, oldest, code, severity, says) in [
            (&build, true, None, "PL-0350", Severity::Warning, "there is no database: 1 MB"),
            (&refuse, true, Some(1), "PL-0351", Severity::Blocker, "another system"),
            (&REWIND, true, Some(400), "PL-0352", Severity::Note, "will be rewound to 0/1F4 of timeline 1"),
            (&REWIND, false, Some(400), "PL-0350", Severity::Warning, "neither data checksums"),
            (&REWIND, true, Some(501), "PL-0350", Severity::Warning, "no log of its own any more from 0/1F4"),
            (&REWIND, true, None, "PL-0350", Severity::Warning, "no log of its own"),
        ] {
            let found = found(way, comparable, oldest);
            assert_eq!(found.len(), 1, "{way:?}");
            assert_eq!((found[0].0.as_str(), found[0].1), (code, severity), "{way:?}");
            assert!(found[0].2.contains(says), "{}", found[0].2);
        }
    }

    fn plan(rebuild: Rebuild, within_s: u64) -> PostgresPlan {
        let rejoin_within = Duration::from_secs(within_s);
        PostgresPlan { rebuild, rejoin_within, ..super::super::upstream::plan_of_nobody() }
    }

    #[test]
    fn a_copy_is_not_built_by_a_program_against_the_plan_or_beyond_its_time() {
        let rate = Some(Rate { bytes: 1_000, took: Duration::from_secs(1) });
        let code = |plan: &PostgresPlan, rate| barred(plan, 60_000, rate).map(|(code, _)| code);
        assert_eq!(code(&plan(Rebuild::Automatic, 60), rate), None, "60 s are allowed and needed");
        assert_eq!(code(&plan(Rebuild::Automatic, 59), rate), Some(code::REBUILD_TOO_LONG));
        assert_eq!(code(&plan(Rebuild::Automatic, 1), None), None, "what was never measured is tried");
        assert_eq!(code(&plan(Rebuild::ByHand, 60), None), Some(code::REBUILD_BY_HAND));

        let building = Anew { estimate: "1 MB".to_owned(), barred: barred(&plan(Rebuild::ByHand, 60), 1, None) };
        let fitness = Fitness { comparable: true, oldest: Some(Lsn(400)) };
        let build = Way::Build { why: "it is too far behind".to_owned() };
        let found = findings("db in east", &build, &fitness, &building);
        assert_eq!((found[0].code.as_str(), found[0].severity), ("PL-0353", Severity::Blocker));
        let found = findings("db in east", &REWIND, &fitness, &building);
        assert_eq!((found[0].code.as_str(), found[0].severity), ("PL-0352", Severity::Note));
        assert!(found[0].message.contains("not built anew if that fails: the plan says"), "{found:?}");
    }

    #[test]
    fn an_estimate_says_what_it_rests_on() {
        let rate = Rate { bytes: 200_000_000, took: Duration::from_secs(2) };
        let says = estimate(6_000_000_000, Some(rate));
        assert_eq!(says, "6000 MB, about 1 min 00 s at the rate of the last one here (200 MB in 2.0 s)");
        assert!(estimate(6_000_000_000, None).ends_with("was never measured here"));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Rate::last(folder.path()), None);
        rate.keep(folder.path());
        assert_eq!(Rate::last(folder.path()), Some(rate));
    }
}

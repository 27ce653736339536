//! What happens when a part of the third place is gone: the table of docs/losses.md, made from here.
//!
//! The times are worked out by the functions that the controllers themselves use, so that the table cannot say another
//! one; each row names the tests that bring the loss about, and a test looks that they are there.

use super::{look_every, renew_every};
use crate::lease::granters_lease;
use crate::time::show_duration;
use std::fmt::Write;
use std::time::Duration;

/// Something that is gone, or does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// A controller that stands by.
    StandingBy,
    /// The leader, with nothing under way.
    Leader,
    /// The leader, in the middle of a run.
    LeaderInARun,
    /// The leader's process is frozen and goes on later.
    LeaderFrozen,
    /// The leader ends in order.
    LeaderEnds,
    /// The leader's way to the store.
    WayToTheStore,
    /// One of three members of etcd.
    MemberOfTheStore,
    /// The store, for less than a lead.
    StoreForAMoment,
    /// The store, for longer.
    Store,
    /// Every controller.
    Controllers,
    /// The third place: controllers, store and DNS authority.
    ThirdPlace,
    /// The store is there and is no lock.
    Condition,
}

/// Every row, in the order of the table.
pub const LOSSES: [Loss; 12] = [
    Loss::StandingBy,
    Loss::Leader,
    Loss::LeaderInARun,
    Loss::LeaderFrozen,
    Loss::LeaderEnds,
    Loss::WayToTheStore,
    Loss::MemberOfTheStore,
    Loss::StoreForAMoment,
    Loss::Store,
    Loss::Controllers,
    Loss::ThirdPlace,
    Loss::Condition,
];

/// The longest that nobody leads after a leader was lost: the challenger reads the last renewal late, and waits.
pub fn longest_without(lead: Duration) -> Duration {
    granters_lease(lead) + look_every(lead)
}

impl Loss {
    /// What is gone.
    pub fn what(self) -> &'static str {
        match self {
            Loss::StandingBy => "a controller that stands by",
            Loss::Leader => "the leader, nothing under way",
            Loss::LeaderInARun => "the leader, in the middle of a run",
            Loss::LeaderFrozen => "the leader is frozen, and thawed later",
            Loss::LeaderEnds => "the leader is ended in order (SIGTERM)",
            Loss::WayToTheStore => "the leader's way to the store",
            Loss::MemberOfTheStore => "one of three members of etcd",
            Loss::StoreForAMoment => "the store, for less than a lead",
            Loss::Store => "the store, for longer",
            Loss::Controllers => "every controller",
            Loss::ThirdPlace => "the third place: controllers, store, DNS authority",
            Loss::Condition => "the store ignores conditional writes",
        }
    }

    /// Who decides meanwhile, and who grants leases.
    pub fn decides(self, lead: Duration) -> String {
        let longest = show_duration(longest_without(lead));
        match self {
            Loss::StandingBy | Loss::MemberOfTheStore | Loss::StoreForAMoment => "the leader, as before".to_owned(),
            Loss::Leader | Loss::LeaderFrozen => format!("nobody for at most {longest}, then another controller"),
            Loss::WayToTheStore => {
                format!(
                    "the leader until its lead is over, at most {}; then another, within {longest}",
                    show_duration(lead)
                )
            }
            Loss::LeaderInARun => {
                format!("the run stands still for at most {longest}; another controller goes on with it")
            }
            Loss::LeaderEnds => format!("another controller within {}", show_duration(look_every(lead))),
            Loss::Store => "nobody: without the store none can know whether another leads".to_owned(),
            Loss::Controllers | Loss::ThirdPlace => "nobody".to_owned(),
            Loss::Condition => "nobody: the controller does not start (PL-0505)".to_owned(),
        }
    }

    /// What users notice.
    pub fn users(self) -> &'static str {
        match self {
            Loss::StandingBy
            | Loss::Leader
            | Loss::LeaderFrozen
            | Loss::LeaderEnds
            | Loss::WayToTheStore
            | Loss::MemberOfTheStore
            | Loss::StoreForAMoment => "nothing",
            Loss::LeaderInARun => {
                "the move takes so much longer; before the promotion of a failover also one lease of the writer"
            }
            Loss::Store | Loss::Controllers => {
                "nothing until the writer's lease is over; then what `policy.guarantee` says of a lease that nobody renews, \
                 and with `connection_fence` (`kernel` or `proxy`) all its clients are cut off, under any guarantee"
            }
            Loss::ThirdPlace => "the same, and names that are in no cache any more do not resolve",
            Loss::Condition => "nothing",
        }
    }

    /// What ends it.
    pub fn after(self) -> &'static str {
        match self {
            Loss::StandingBy | Loss::Leader | Loss::LeaderInARun => "start it again: it stands by",
            Loss::LeaderFrozen => "nothing: when it goes on, its lead is over by its own clock and it stands by",
            Loss::LeaderEnds | Loss::MemberOfTheStore => "start it again",
            Loss::WayToTheStore => "mend it: the controller stands by",
            Loss::StoreForAMoment => "nothing",
            Loss::Store => "when it answers again one of them leads; runs go on from their last record",
            Loss::Controllers | Loss::ThirdPlace => {
                "start them again: one leads, waits out one lease of the writer before it calls anything lapsed, and goes on"
            }
            Loss::Condition => "take another store",
        }
    }

    /// The tests that bring it about.
    pub fn tests(self) -> &'static [&'static str] {
        match self {
            Loss::StandingBy => &["a_controller_that_stands_by_is_missed_by_nobody"],
            Loss::Leader => &[
                "the_loss_of_a_leader_is_felt_by_nobody_and_another_leads",
                "leaders_are_killed_and_frozen_on_a_folder",
                "leaders_are_killed_and_frozen_on_etcd",
                "leaders_are_killed_and_frozen_on_s3",
            ],
            Loss::LeaderInARun => &[
                "another_controller_continues_a_run_and_does_nothing_twice",
                "a_controller_killed_at_any_step_leaves_a_run_that_ends",
                "leaders_are_killed_and_frozen_on_a_folder",
                "leaders_are_killed_and_frozen_on_etcd",
                "leaders_are_killed_and_frozen_on_s3",
            ],
            Loss::LeaderFrozen => &[
                "leaders_are_killed_and_frozen_on_a_folder",
                "leaders_are_killed_and_frozen_on_etcd",
                "leaders_are_killed_and_frozen_on_s3",
            ],
            Loss::LeaderEnds => &["a_leader_that_ends_in_order_hands_over_at_once"],
            Loss::WayToTheStore => &["a_leader_without_its_way_to_the_store_stops_and_another_leads"],
            Loss::MemberOfTheStore => &["three_members_bear_the_loss_of_one_and_say_so_when_two_are_gone"],
            Loss::StoreForAMoment => &["a_store_that_is_away_for_a_moment_changes_nothing"],
            Loss::Store => &[
                "without_the_store_nobody_leads_and_nothing_moves",
                "a_store_that_is_away_for_longer_than_a_lease_leaves_one_writer",
            ],
            Loss::Controllers => &[
                "with_every_controller_gone_nothing_moves_and_the_next_goes_on",
                "what_is_no_loss_of_the_region_moves_nothing",
            ],
            Loss::ThirdPlace => &["what_is_no_loss_of_the_region_moves_nothing"],
            Loss::Condition => &[
                "an_engine_that_ignores_a_condition_is_refused",
                "a_server_that_is_deaf_to_conditions_is_refused_at_the_start",
            ],
        }
    }
}

/// The whole of docs/losses.md, for a lease of the writer of three seconds.
pub fn page() -> String {
    let lead = Duration::from_millis(1_500);
    let mut page = format!(
        "<!-- Written by `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core losses`. Do not edit. -->\n\n\
         # Losses of the third place\n\n\
         What happens when a part of what decides is gone, with several controllers ([controllers.md](controllers.md)). The\n\
         times are for `policy.lease: 3s`, so a lead (`controller.leader_lease`) of {}, which a leader renews every {} and\n\
         the others read every {}. They are worked out by the code that the controllers run; each row is brought about by\n\
         the tests that stand below the table.\n\n\
         | gone | who decides | what users notice | what ends it |\n|---|---|---|---|\n",
        show_duration(lead),
        show_duration(renew_every(lead)),
        show_duration(look_every(lead)),
    );
    // Writing to a String cannot fail.
    for loss in LOSSES {
        let _ = writeln!(page, "| {} | {} | {} | {} |", loss.what(), loss.decides(lead), loss.users(), loss.after());
    }
    page.push_str("\n## The tests\n\n");
    for loss in LOSSES {
        let _ = writeln!(page, "- {}: `{}`", loss.what(), loss.tests().join("`, `"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_page_of_losses_is_what_the_code_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/losses.md");
        if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
            std::fs::write(file, page()).unwrap();
        }
        assert!(
            std::fs::read_to_string(file).is_ok_and(|text| text == page()),
            "docs/losses.md is not what the code says; write it anew with \
             `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core losses`"
        );
    }

    #[test]
    fn each_of_the_losses_has_tests_that_are_there() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folders = ["server/src/tests", "stores/src/tests", "cli/tests/cli"];
        let there: BTreeSet<String> = folders.iter().flat_map(|folder| tests_in(&crates.join(folder))).collect();
        for loss in LOSSES {
            for test in loss.tests() {
                assert!(there.contains(*test), "{loss:?}: there is no test {test} that runs");
            }
        }
    }

    #[test]
    fn only_a_function_that_is_run_as_a_test_is_one() {
        let source = "fn plain() {}\n// fn told() {}\n#[test]\nfn one() {}\n#[tokio::test(flavor = \"multi_thread\")]\n\
                      #[cfg(target_os = \"linux\")]\nasync fn two() {\n    inner();\n}\n#[test]\n#[ignore = \"slow\"]\nfn three() {}\n";
        assert_eq!(tests_of(source), ["one", "two"]);
    }

    fn tests_in(folder: &Path) -> Vec<String> {
        let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
        let sources = files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs"));
        sources.flat_map(|file| tests_of(&std::fs::read_to_string(file).unwrap())).collect()
    }

    /// The functions that the attributes right above them make tests, but for those that are left out.
    fn tests_of(source: &str) -> Vec<String> {
        let (mut tests, mut attributes) = (Vec::new(), Vec::new());
        for line in source.lines().map(str::trim) {
            if line.starts_with("#[") {
                attributes.push(line);
                continue;
            }
            let name =
                line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").and_then(|l| l.split('(').next());
            let is_test = attributes.iter().any(|a| *a == "#[test]" || a.starts_with("#[tokio::test"));
            let left_out = attributes.iter().any(|a| a.starts_with("#[ignore"));
            tests.extend(name.filter(|_| is_test && !left_out).map(str::to_owned));
            attributes.clear();
        }
        tests
    }
}

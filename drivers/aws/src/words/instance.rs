//! What a look at an RDS instance means: its role, and whether clients are shut out of it.

use crate::words::cluster::region_of;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use pilotlight_core::time::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A reboot that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// At that moment; it has not been seen to go down since.
    Asked(Wall),
    /// It was seen to be down.
    Seen,
}

impl Reboot {
    /// The word of a tag.
    pub fn read(word: &str) -> Self {
        word.parse().map_or(Reboot::Seen, |at| Reboot::Asked(Wall(at)))
    }

    /// As the word of a tag.
    pub fn word(self) -> String {
        match self {
            Reboot::Asked(at) => at.0.to_string(),
            Reboot::Seen => "seen".to_owned(),
        }
    }

    /// An instance that serves now has been through it: it was seen down, or its going down would have been shown by now.
    pub fn is_over(self, now: Wall, shows_within: Duration) -> bool {
        match self {
            Reboot::Asked(at) => now.since(at) > shows_within,
            Reboot::Seen => true,
        }
    }
}

/// A tag: when it was told to reboot after its clients were shut out, and then that it was seen to be down.
pub const REBOOTED: &str = "pilotlight:rebooted";
/// A tag: since when it acknowledges nothing, in milliseconds since 1970.
pub const STOPPED_AT: &str = "pilotlight:stopped-at";
/// A tag: for how many days the instance whose name a replica took kept its backups.
pub const BACKUPS: &str = "pilotlight:backup-retention";

/// For how many days automated backups are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backups {
    /// Its own; 0 is none, as replicas usually have.
    pub own: i32,
    /// What the instance had that was here before, as a tag says.
    pub before: Option<i32>,
}

impl Backups {
    /// What it is to have as a writer; `None` where nothing says so.
    pub fn as_writer(self) -> Option<i32> {
        Some(self.own).filter(|days| *days > 0).or(self.before)
    }
}

/// An RDS instance as its region's API shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// ARN.
    pub arn: String,
    /// Its state, for example `available`.
    pub status: String,
    /// What it is a read replica of: an ARN, or a name within the region.
    pub source: Option<String>,
    /// State of its replication, where AWS says one.
    pub replication: Option<String>,
    /// Its VPC security groups.
    pub groups: BTreeSet<String>,
    /// All of them have taken effect.
    pub groups_settled: bool,
    /// A reboot was asked for after its clients were shut out.
    pub reboot: Option<Reboot>,
    /// Its storage.
    pub gigabytes: Option<i32>,
    /// It is protected from deletion.
    pub protected: bool,
    /// Days its backups are kept, and those of the one whose name it took.
    pub backups: Backups,
    /// Since when it acknowledges nothing, in milliseconds of the wall clock.
    pub stopped_at: Option<u64>,
}

impl Instance {
    /// It takes connections, as far as AWS knows.
    pub fn serves(&self) -> bool {
        matches!(
            self.status.as_str(),
            "available" | "backing-up" | "storage-optimization" | "maintenance" | "upgrading"
        ) || self.status.starts_with("configuring-")
    }

    /// Nothing is connected because nothing runs.
    pub fn is_stopped(&self) -> bool {
        self.status == "stopped"
    }

    /// Its security groups are those that let nobody in, and have taken effect.
    pub fn is_closed(&self, closed: &BTreeSet<String>) -> bool {
        !closed.is_empty() && self.groups == *closed && self.groups_settled
    }

    /// Closed, and every session from before is gone.
    pub fn is_fenced(&self, closed: &BTreeSet<String>) -> bool {
        self.source.is_none()
            && self.is_closed(closed)
            && self.stopped_at.is_some()
            && (self.serves() || self.is_stopped())
    }
}

/// What the instance of a region is; `plan_region` gives the plan's name of an AWS region.
pub fn state(
    instance: Option<&Instance>,
    closed: &BTreeSet<String>,
    plan_region: impl Fn(&str) -> Option<Region>,
) -> State {
    let Some(seen) = instance else {
        let facts = BTreeMap::from([("instance".to_owned(), "absent".to_owned())]);
        return State { role: Some(Role::Down { clean: true, was_writer: false }), facts, ..State::default() };
    };
    let halted = matches!(seen.status.as_str(), "stopped" | "stopping");
    let role = match &seen.source {
        Some(_) if halted => Role::Down { clean: true, was_writer: false },
        Some(source) => {
            let replicates = seen.replication.as_deref().is_none_or(|s| s == "replicating");
            Role::Standby { upstream: region_of(source).and_then(&plan_region), streaming: replicates && seen.serves() }
        }
        None if seen.is_fenced(closed) => Role::Fenced { assurance: FenceAssurance::ConnectionsCut },
        None if halted => Role::Down { clean: true, was_writer: true },
        None if seen.serves() || seen.status == "modifying" => Role::Writer,
        None => Role::Unresponsive,
    };
    let mut facts = BTreeMap::from([("instance".to_owned(), seen.status.clone())]);
    if let Some(replication) = &seen.replication {
        facts.insert("replication".to_owned(), replication.clone());
    }
    if seen.is_closed(closed) {
        facts.insert("clients".to_owned(), "shut out".to_owned());
    }
    State { role: Some(role), facts, ..State::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(instance: &Instance) -> Role {
        let closed = BTreeSet::from(["sg-closed".to_owned()]);
        state(Some(instance), &closed, |r| Some(Region::from(r))).role.expect("a role is always said")
    }

    fn writer() -> Instance {
        let groups = BTreeSet::from(["sg-open".to_owned()]);
        Instance { status: "available".into(), groups, groups_settled: true, ..Instance::default() }
    }

    #[test]
    fn an_instance_without_a_source_writes_and_one_with_a_source_follows() {
        assert_eq!(role(&writer()), Role::Writer);
        let source = Some("arn:aws:rds:us-east-1:123456789012:db:pay".to_owned());
        let replica = Instance { source, replication: Some("replicating".into()), ..writer() };
        let upstream = Some(Region::from("us-east-1"));
        assert_eq!(role(&replica), Role::Standby { upstream: upstream.clone(), streaming: true });
        for broken in [
            Instance { replication: Some("error".into()), ..replica.clone() },
            Instance { status: "creating".into(), replication: None, ..replica },
        ] {
            assert_eq!(role(&broken), Role::Standby { upstream: upstream.clone(), streaming: false });
        }
    }

    #[test]
    fn closed_alone_is_no_fence_while_sessions_from_before_may_live() {
        let groups = BTreeSet::from(["sg-closed".to_owned()]);
        let closed = Instance { groups, ..writer() };
        assert_eq!(role(&closed), Role::Writer);
        let rebooted = Instance { status: "rebooting".into(), reboot: Some(Reboot::Seen), ..closed.clone() };
        assert_eq!(role(&rebooted), Role::Unresponsive);
        let stopped = Instance { reboot: Some(Reboot::Seen), stopped_at: Some(5), ..closed };
        assert_eq!(role(&stopped), Role::Fenced { assurance: FenceAssurance::ConnectionsCut });
        let on_its_way = Instance { groups_settled: false, ..stopped };
        assert_eq!(role(&on_its_way), Role::Writer);
        let opened = Instance { stopped_at: Some(5), ..writer() };
        assert_eq!(role(&opened), Role::Writer);
    }

    #[test]
    fn what_does_not_run_is_down() {
        let stopped = Instance { status: "stopped".into(), ..writer() };
        assert_eq!(role(&stopped), Role::Down { clean: true, was_writer: true });
        let absent = state(None, &BTreeSet::new(), |_| None).role;
        assert_eq!(absent, Some(Role::Down { clean: true, was_writer: false }));
    }

    /// AWS answers at once and shows it a little later: what serves then may hold sessions from before.
    #[test]
    fn an_instance_is_back_only_when_it_was_away_or_long_after() {
        let (asked, within) = (Reboot::Asked(Wall(10_000)), Duration::from_secs(60));
        assert!(!asked.is_over(Wall(11_000), within));
        assert!(!asked.is_over(Wall(9_000), within), "a clock that went back proves nothing");
        assert!(asked.is_over(Wall(71_000), within));
        assert!(Reboot::Seen.is_over(Wall(11_000), within));
        for reboot in [asked, Reboot::Seen] {
            assert_eq!(Reboot::read(&reboot.word()), reboot);
        }
    }

    #[test]
    fn a_writer_keeps_backups_as_long_as_the_one_before_it() {
        assert_eq!(Backups { own: 7, before: Some(35) }.as_writer(), Some(7));
        assert_eq!(Backups { own: 0, before: Some(35) }.as_writer(), Some(35));
        assert_eq!(Backups::default().as_writer(), None);
    }
}

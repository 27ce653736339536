//! What a look at an Aurora global cluster means: the role of each member, and how far a switch has come.

use crate::words::instance::Reboot;
use crate::words::reattach::rests;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use std::collections::{BTreeMap, BTreeSet};

/// A global cluster as one region's API shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Global {
    /// Its state, for example `available`.
    pub status: String,
    /// Its members.
    pub members: Vec<Member>,
    /// A switch or failover that is under way.
    pub moving: Option<Moving>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// ARN of its DB cluster.
    pub arn: String,
    /// It takes the writes.
    pub is_writer: bool,
    /// `connected`, `pending-resync`, or nothing where AWS does not say.
    pub sync: Option<String>,
}

/// A move under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moving {
    /// `pending`, `switching-over`, `failing-over`, `cancelling`.
    pub status: String,
    /// ARN.
    pub to: Option<String>,
}

/// One region's copy: its member and what its own DB cluster says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// ARN of its DB cluster.
    pub arn: Option<String>,
    /// State of its DB cluster; `None` when there is none.
    pub status: Option<String>,
    /// ARN of the DB cluster it is a copy of, as its own DB cluster says.
    pub source: Option<String>,
    /// Its VPC security groups.
    pub security: BTreeSet<String>,
    /// All of them have taken effect.
    pub security_settled: bool,
    /// A reboot of its instances was asked for after its clients were shut out.
    pub reboot: Option<Reboot>,
    /// Since when it acknowledges nothing, in milliseconds of the wall clock.
    pub stopped_at: Option<u64>,
}

/// States in which a cluster serves.
const SERVES: [&str; 13] = [
    "available",
    "backing-up",
    "modifying",
    "maintenance",
    "upgrading",
    "renaming",
    "resetting-master-credentials",
    "configuring-iam-database-auth",
    "update-iam-db-auth",
    "backtracking",
    "switching-over",
    "failing-over",
    "storage-optimization",
];

impl Global {
    /// The member with that ARN.
    pub fn member(&self, arn: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.arn == arn)
    }

    /// The member that takes the writes.
    pub fn writer(&self) -> Option<&Member> {
        self.members.iter().find(|m| m.is_writer)
    }

    /// A move is under way, wherever to.
    pub fn is_moving(&self) -> bool {
        self.moving.is_some() || matches!(self.status.as_str(), "switching-over" | "failing-over")
    }

    /// A move to that member is under way.
    pub fn moves_to(&self, arn: &str) -> bool {
        self.moving.as_ref().is_some_and(|m| m.to.as_deref() == Some(arn))
    }
}

impl Copy {
    /// AWS has nothing under way that bars a change.
    pub fn rests(&self) -> bool {
        self.status.as_deref().is_some_and(rests)
    }

    /// Nothing of it runs.
    pub fn is_stopped(&self) -> bool {
        self.status.as_deref() == Some("stopped")
    }

    /// Its security groups are those that let nobody in, and have taken effect.
    pub fn is_closed(&self, closed: &BTreeSet<String>) -> bool {
        !closed.is_empty() && self.security == *closed && self.security_settled
    }

    /// Closed, and every session from before is gone; or stopped, and noted to be.
    pub fn is_fenced(&self, closed: &BTreeSet<String>) -> bool {
        let serves = self.status.as_deref().is_some_and(|s| SERVES.contains(&s));
        self.stopped_at.is_some() && (self.is_stopped() || serves && self.is_closed(closed))
    }

    /// Its identifier.
    pub fn name(&self) -> &str {
        self.arn.as_deref().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default()
    }
}

/// AWS's name of the region in an ARN.
pub fn region_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|r| !r.is_empty())
}

/// What a copy is; `plan_region` gives the plan's name of an AWS region.
pub fn state(
    global: Option<&Global>,
    copy: &Copy,
    closed: &BTreeSet<String>,
    plan_region: impl Fn(&str) -> Option<Region>,
) -> State {
    let member = global.zip(copy.arn.as_deref()).and_then(|(g, arn)| g.member(arn));
    let serves = copy.status.as_deref().is_some_and(|s| SERVES.contains(&s));
    let role = match (member, copy.status.as_deref()) {
        (_, None) => Role::Down { clean: true, was_writer: false },
        (m, Some(_)) if m.is_none_or(|m| m.is_writer) && copy.is_fenced(closed) => {
            Role::Fenced { assurance: FenceAssurance::ConnectionsCut }
        }
        (Some(m), Some("stopped" | "stopping")) => Role::Down { clean: true, was_writer: m.is_writer },
        (Some(m), Some(_)) if m.is_writer && serves => Role::Writer,
        (Some(m), Some(_)) if m.is_writer => Role::Unresponsive,
        (Some(m), Some(_)) => {
            let upstream = global.and_then(Global::writer).and_then(|w| region_of(&w.arn)).and_then(&plan_region);
            // Where AWS does not say, a member that serves is taken to follow.
            let connected = m.sync.as_deref().is_none_or(|s| s == "connected");
            Role::Standby { upstream, streaming: connected && serves }
        }
        (None, Some("promoting")) => Role::Unresponsive,
        (None, Some("stopped" | "stopping")) => Role::Down { clean: true, was_writer: true },
        // It says itself that it follows; where no global cluster is seen nothing says that it keeps up.
        (None, Some(_)) if copy.source.is_some() => {
            let upstream = copy.source.as_deref().and_then(region_of).and_then(&plan_region);
            Role::Standby { upstream, streaming: false }
        }
        // Alone it takes writes, whoever else does.
        (None, Some(_)) if serves => Role::Writer,
        (None, Some(_)) => Role::Unresponsive,
    };
    let mut facts = facts(global, member, copy);
    if copy.is_closed(closed) {
        facts.insert("clients".to_owned(), "shut out".to_owned());
    }
    State { role: Some(role), facts, ..State::default() }
}

fn facts(global: Option<&Global>, member: Option<&Member>, copy: &Copy) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut say = |key: &str, value: &str| facts.insert(key.to_owned(), value.to_owned());
    say("cluster", copy.status.as_deref().unwrap_or("absent"));
    if member.is_none() && copy.status.is_some() {
        let alone = if copy.source.is_some() { "not seen" } else { "no: it stands alone" };
        say("member", alone);
    }
    if let Some(sync) = member.and_then(|m| m.sync.as_deref()) {
        say("replication", sync);
    }
    if let Some(global) = global {
        say("global", &global.status);
        if let Some(moving) = &global.moving {
            say("moving", &moving.status);
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAST: &str = "arn:aws:rds:us-east-1:123456789012:cluster:pay-east";
    const WEST: &str = "arn:aws:rds:us-west-2:123456789012:cluster:pay-west";

    fn global() -> Global {
        let member = |arn: &str, is_writer| Member { arn: arn.into(), is_writer, sync: Some("connected".into()) };
        Global { status: "available".into(), members: vec![member(EAST, true), member(WEST, false)], moving: None }
    }

    fn copy(arn: &str, status: &str) -> Copy {
        Copy { arn: Some(arn.into()), status: Some(status.into()), ..Copy::default() }
    }

    fn role(global: Option<&Global>, copy: &Copy) -> Role {
        let closed = BTreeSet::from(["sg-closed".to_owned()]);
        state(global, copy, &closed, |r| Some(Region::from(r))).role.expect("a role is always said")
    }

    #[test]
    fn members_are_writer_and_standby() {
        let global = global();
        assert_eq!(role(Some(&global), &copy(EAST, "available")), Role::Writer);
        let upstream = Some(Region::from("us-east-1"));
        assert_eq!(role(Some(&global), &copy(WEST, "available")), Role::Standby { upstream, streaming: true });
    }

    #[test]
    fn a_member_that_is_rebuilt_does_not_follow_yet() {
        let mut global = global();
        global.members[1].sync = Some("pending-resync".into());
        let Role::Standby { streaming, .. } = role(Some(&global), &copy(WEST, "available")) else { panic!() };
        assert!(!streaming);
    }

    #[test]
    fn a_cluster_alone_takes_writes() {
        let mut global = global();
        global.members.pop();
        assert_eq!(role(Some(&global), &copy(WEST, "available")), Role::Writer);
        assert_eq!(role(Some(&global), &copy(WEST, "promoting")), Role::Unresponsive);
        assert_eq!(role(None, &copy(WEST, "available")), Role::Writer);
    }

    #[test]
    fn a_cluster_with_a_source_is_no_writer_where_no_global_cluster_is_seen() {
        let follower = Copy { source: Some(EAST.into()), ..copy(WEST, "available") };
        let upstream = Some(Region::from("us-east-1"));
        let mut without = global();
        without.members.pop();
        for global in [None, Some(&without)] {
            assert_eq!(role(global, &follower), Role::Standby { upstream: upstream.clone(), streaming: false });
        }
        // AWS may name an old source for a moment; what the global cluster says counts.
        let writer = Copy { source: Some(WEST.into()), ..copy(EAST, "available") };
        assert_eq!(role(Some(&global()), &writer), Role::Writer);
    }

    #[test]
    fn what_is_not_there_is_no_writer() {
        let absent = Copy { arn: Some(WEST.into()), ..Copy::default() };
        assert_eq!(role(Some(&global()), &absent), Role::Down { clean: true, was_writer: false });
        assert_eq!(role(Some(&global()), &copy(EAST, "stopped")), Role::Down { clean: true, was_writer: true });
        assert_eq!(role(Some(&global()), &copy(EAST, "failed")), Role::Unresponsive);
    }

    #[test]
    fn a_writer_is_fenced_when_nobody_reaches_it_and_that_is_noted() {
        let security = BTreeSet::from(["sg-closed".to_owned()]);
        let closed = Copy { security, security_settled: true, ..copy(EAST, "available") };
        assert_eq!(role(Some(&global()), &closed), Role::Writer, "sessions from before may live");
        let fenced = Role::Fenced { assurance: FenceAssurance::ConnectionsCut };
        let noted = Copy { stopped_at: Some(5), ..closed };
        assert_eq!(role(Some(&global()), &noted), fenced);
        assert_eq!(role(None, &noted), fenced, "alone, too");
        let opened = Copy { security: BTreeSet::new(), ..noted };
        assert_eq!(role(Some(&global()), &opened), Role::Writer);
        let stopped = Copy { status: Some("stopped".into()), ..opened };
        assert_eq!(role(Some(&global()), &stopped), fenced, "until AWS starts it again");
    }
}

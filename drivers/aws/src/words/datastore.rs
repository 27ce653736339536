//! What a look at an ElastiCache Global Datastore means: the role of each member, and whether a move goes on.

use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State};
use std::collections::BTreeMap;

/// A global datastore as one region's API shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Datastore {
    /// Its state: `available`, `modifying`, `primary-only`, ...
    pub status: String,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Id of its replication group.
    pub group: String,
    /// AWS's name of its region.
    pub region: String,
    /// It takes the writes.
    pub is_primary: bool,
    /// `associated`, `associating`, ...
    pub status: String,
}

impl Datastore {
    /// The member in that region, by AWS's name.
    pub fn member(&self, region: &str, group: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.region == region && m.group == group)
    }

    /// The member that takes the writes.
    pub fn primary(&self) -> Option<&Member> {
        self.members.iter().find(|m| m.is_primary)
    }

    /// Nothing moves.
    pub fn is_settled(&self) -> bool {
        matches!(self.status.as_str(), "available" | "primary-only")
    }
}

/// What the replication group of a region is; `group` is its own state there, `None` when there is none.
pub fn state(
    datastore: Option<&Datastore>,
    member: Option<&Member>,
    group: Option<&str>,
    plan_region: impl Fn(&str) -> Option<Region>,
) -> State {
    let serves = group.is_some_and(|s| matches!(s, "available" | "modifying" | "snapshotting"));
    let role = match (member, group) {
        (_, None) => Role::Down { clean: true, was_writer: false },
        (Some(m), Some(_)) if m.is_primary && serves => Role::Writer,
        (Some(m), Some(_)) if m.is_primary => Role::Unresponsive,
        (Some(m), Some(_)) => {
            let upstream = datastore.and_then(Datastore::primary).and_then(|p| plan_region(&p.region));
            Role::Standby { upstream, streaming: serves && m.status == "associated" }
        }
        // Alone it takes writes, whoever else does.
        (None, Some(_)) if serves => Role::Writer,
        (None, Some(_)) => Role::Unresponsive,
    };
    let mut facts = BTreeMap::from([("group".to_owned(), group.unwrap_or("absent").to_owned())]);
    if let Some(datastore) = datastore {
        facts.insert("global".to_owned(), datastore.status.clone());
    }
    if let Some(member) = member {
        facts.insert("member".to_owned(), member.status.clone());
    } else if group.is_some() {
        facts.insert("member".to_owned(), "no: it stands alone".to_owned());
    }
    State { role: Some(role), facts, ..State::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datastore() -> Datastore {
        let member = |region: &str, is_primary| Member {
            group: "cart".into(),
            region: region.into(),
            is_primary,
            status: "associated".into(),
        };
        Datastore { status: "available".into(), members: vec![member("us-east-1", true), member("us-west-2", false)] }
    }

    fn role(datastore: &Datastore, region: &str, group: Option<&str>) -> Role {
        let member = datastore.member(region, "cart");
        state(Some(datastore), member, group, |r| Some(Region::from(r))).role.expect("a role is always said")
    }

    #[test]
    fn members_are_writer_and_standby() {
        let all = datastore();
        assert_eq!(role(&all, "us-east-1", Some("available")), Role::Writer);
        let upstream = Some(Region::from("us-east-1"));
        assert_eq!(
            role(&all, "us-west-2", Some("available")),
            Role::Standby { upstream: upstream.clone(), streaming: true }
        );
        let mut joining = all;
        joining.members[1].status = "associating".into();
        assert_eq!(role(&joining, "us-west-2", Some("available")), Role::Standby { upstream, streaming: false });
    }

    #[test]
    fn a_group_alone_takes_writes_and_one_that_is_not_there_does_not() {
        let mut all = datastore();
        assert_eq!(role(&all, "us-west-2", None), Role::Down { clean: true, was_writer: false });
        all.members.pop();
        assert_eq!(role(&all, "us-west-2", Some("available")), Role::Writer);
        assert_eq!(role(&all, "us-west-2", Some("creating")), Role::Unresponsive);
        assert_eq!(role(&all, "us-east-1", Some("deleting")), Role::Unresponsive);
    }
}

//! What comes next on the way back of a region whose cluster was left behind by a detach: from what AWS shows, never from
//! memory, so any controller can go on after any lost reply.
//!
//! The old cluster is silent already. A snapshot of it is made; it leaves the global cluster, and its instances and itself are
//! renamed and kept. The empty global cluster gives its name to a new one around the writer, and a new cluster in it takes
//! the old one's name, with instances like the old ones.
//!
//! Invariants:
//! - nothing is deleted, and nothing is changed of a cluster that takes writes;
//! - nothing is changed at all unless the writer is seen to write.

use crate::words::cluster::{Copy, Global};
use std::collections::BTreeSet;

/// Stands between the name of what is kept and the epoch of the run that kept it.
pub const KEPT: &str = "-before-";
/// AWS takes no longer identifiers.
const LONGEST: usize = 63;

/// An instance: its identifier and state.
pub type Instance = (String, String);

/// Everything that is looked at for one step.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The cluster of the region under the plan's name.
    pub copy: Copy,
    /// Its instances.
    pub instances: Vec<Instance>,
    /// The name under which the old cluster is kept, or would be.
    pub kept: String,
    /// State of the cluster of that name.
    pub old: Option<String>,
    /// Its instances.
    pub old_instances: Vec<Instance>,
    /// State of the snapshot that is called after the run.
    pub snapshot: Option<String>,
    /// The global cluster of the plan's name.
    pub global: Option<Global>,
    /// The cluster to be followed.
    pub upstream: Copy,
    /// Security groups that let nobody in.
    pub closed: BTreeSet<String>,
}

/// One step further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Make the snapshot.
    Snapshot,
    /// Take the old cluster out of the global one.
    Leave,
    /// Rename this instance of the old cluster.
    RenameInstance(String),
    /// Rename the old cluster.
    RenameCluster,
    /// Give the empty global cluster another name.
    RenameGlobal,
    /// Make a global cluster around the writer.
    MakeGlobal,
    /// Make the new cluster.
    MakeCluster,
    /// Make an instance like that kept one.
    MakeInstance(String),
    /// AWS is at it.
    Wait,
    /// It follows.
    Done,
    /// It cannot go on: why, and what a person could do.
    Refuse(String, &'static str),
}

/// The name that something had before it was kept.
pub fn was(kept: &str) -> &str {
    kept.split(KEPT).next().unwrap_or(kept)
}

/// The name under which something is kept by the run of that epoch.
pub fn kept(name: &str, epoch: u64) -> String {
    format!("{}{KEPT}{epoch}", was(name))
}

/// The newest of the clusters that were kept of one of that name.
pub fn newest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let epoch = |n: &str| n.strip_prefix(name)?.strip_prefix(KEPT)?.parse::<u64>().ok();
    among.filter_map(|n| Some((epoch(n)?, n))).max().map(|(_, n)| n)
}

impl Scene {
    /// As it would be once it is silent: for what is asked before that.
    pub fn as_if_fenced(&mut self) {
        if self.copy.status.is_some() && !self.copy.is_fenced(&self.closed) && !self.closed.is_empty() {
            (self.copy.security, self.copy.security_settled) = (self.closed.clone(), true);
            self.copy.stopped_at = Some(0);
        }
    }

    /// See the module.
    pub fn next(&self) -> Next {
        let member = self.global.as_ref().zip(self.copy.arn.as_deref()).and_then(|(g, arn)| g.member(arn));
        match (&self.copy.status, member) {
            (None, _) => self.without_old(),
            (Some(_), Some(member)) if !member.is_writer => self.of_new(member.sync.as_deref()),
            (Some(_), _) => self.of_old(),
        }
    }

    /// The writer takes writes: alone, or as the writer of the global cluster.
    fn upstream_writes(&self) -> bool {
        let member = self.global.as_ref().zip(self.upstream.arn.as_deref()).and_then(|(g, arn)| g.member(arn));
        self.upstream.rests() && !self.upstream.is_closed(&self.closed) && member.is_none_or(|m| m.is_writer)
    }

    fn has_upstream(&self) -> bool {
        self.global.as_ref().zip(self.upstream.arn.as_deref()).is_some_and(|(g, arn)| g.member(arn).is_some())
    }

    /// The region's cluster is a member that follows: what is still missing of it?
    fn of_new(&self, sync: Option<&str>) -> Next {
        let (copy, global) = (&self.copy, self.global.as_ref());
        let follows = global.and_then(Global::writer).map(|w| w.arn.as_str()) == self.upstream.arn.as_deref();
        if !follows || !copy.rests() {
            return Next::Wait;
        }
        let is_there = |old: &&Instance| self.instances.iter().any(|(name, _)| name == was(&old.0));
        if let Some((old, _)) = self.old_instances.iter().find(|old| !is_there(old)) {
            return Next::MakeInstance(old.clone());
        }
        let serves = self.instances.iter().all(|(_, status)| rests(status));
        // Where AWS does not say, a member that serves is taken to follow.
        match serves && sync.is_none_or(|s| s == "connected") {
            true => Next::Done,
            false => Next::Wait,
        }
    }

    /// The region's cluster is the one that was left behind.
    fn of_old(&self) -> Next {
        let (copy, names) = (&self.copy, self.instances.iter().map(|(name, _)| name.as_str()));
        if copy.is_stopped() {
            return refuse(
                "it is stopped, and AWS changes nothing of it then",
                "start it; it is fenced before it joins",
            );
        }
        // Whatever AWS has under way with it, it stays shut.
        if copy.stopped_at.is_none() || !copy.is_closed(&self.closed) {
            return refuse("it takes writes", "it is fenced first; `closed_groups` in the plan are the way");
        }
        if !self.upstream_writes() {
            return refuse("the writer does not take writes", "look at it with `pilotlight status`");
        }
        if names.chain([copy.name()]).any(|n| was(n).len() + self.kept.len() - was(&self.kept).len() > LONGEST) {
            return refuse("the names to keep it under would be longer than AWS takes", "rename it by hand");
        }
        match self.snapshot.as_deref() {
            None if copy.rests() => return Next::Snapshot,
            Some("available") => {}
            Some("failed") => return refuse("its snapshot failed", "look why, delete the snapshot and try again"),
            _ => return Next::Wait,
        }
        if !copy.rests() {
            return Next::Wait;
        }
        if let Some(global) =
            self.global.as_ref().filter(|g| copy.arn.as_deref().is_some_and(|a| g.member(a).is_some()))
        {
            return match global.members.len() {
                1 => Next::Leave,
                _ => refuse("others still follow it in its global cluster", "take them out, or let them join again"),
            };
        }
        if self.instances.iter().any(|(_, status)| !rests(status)) {
            return Next::Wait;
        }
        let named = self.instances.iter().find(|(name, _)| !name.contains(KEPT));
        named.map_or(Next::RenameCluster, |(name, _)| Next::RenameInstance(name.clone()))
    }

    /// The plan's name is free: the old cluster is kept, and the new one is to be made.
    fn without_old(&self) -> Next {
        match self.old.as_deref() {
            None => return refuse("it is gone, and nothing says what it was like", "make a member there by hand"),
            Some(status) if !rests(status) => return Next::Wait,
            Some(_) => {}
        }
        match &self.global {
            _ if !self.upstream_writes() => {
                refuse("the writer does not take writes", "look at it with `pilotlight status`")
            }
            Some(global) if global.status != "available" => Next::Wait,
            Some(_) if self.has_upstream() => Next::MakeCluster,
            Some(global) if global.members.is_empty() => Next::RenameGlobal,
            Some(_) => refuse("others are in the global cluster of that name", "look who they are"),
            None => Next::MakeGlobal,
        }
    }
}

/// AWS has nothing under way that bars a change.
pub(crate) fn rests(status: &str) -> bool {
    matches!(status, "available" | "backing-up" | "storage-optimization" | "configuring-enhanced-monitoring")
}

fn refuse(why: &str, hint: &'static str) -> Next {
    Next::Refuse(why.to_owned(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::cluster::Member;

    const OLD: &str = "arn:aws:rds:us-east-1:1:cluster:pay-east";
    const UP: &str = "arn:aws:rds:us-west-2:1:cluster:pay-west";

    fn one(arn: &str, is_writer: bool, sync: &str) -> Member {
        Member { arn: arn.into(), is_writer, sync: Some(sync.into()) }
    }

    fn global(members: Vec<Member>) -> Option<Global> {
        Some(Global { status: "available".into(), members, moving: None })
    }

    /// The region is back and fenced; its global cluster knows only it.
    fn scene() -> Scene {
        let copy = |arn: &str| Copy { arn: Some(arn.into()), status: Some("available".into()), ..Copy::default() };
        let closed = BTreeSet::from(["sg-closed".to_owned()]);
        Scene {
            copy: Copy { security: closed.clone(), security_settled: true, stopped_at: Some(1), ..copy(OLD) },
            instances: vec![("pay-east-1".into(), "available".into()), ("pay-east-2".into(), "available".into())],
            kept: "pay-east-before-3".into(),
            global: global(vec![one(OLD, true, "connected")]),
            upstream: copy(UP),
            closed,
            ..Scene::default()
        }
    }

    /// What AWS would show after the step.
    fn done(scene: &mut Scene, next: &Next) {
        let available = || Some("available".to_owned());
        match next {
            Next::Snapshot => scene.snapshot = available(),
            Next::Leave => scene.global = global(vec![]),
            Next::RenameInstance(name) => {
                let of = scene.instances.iter_mut().find(|(n, _)| n == name).expect("it is asked of one there");
                of.0 = kept(name, 3);
            }
            Next::RenameCluster => {
                scene.old = available();
                scene.old_instances = std::mem::take(&mut scene.instances);
                scene.copy = Copy::default();
            }
            Next::RenameGlobal => scene.global = None,
            Next::MakeGlobal => scene.global = global(vec![one(UP, true, "connected")]),
            Next::MakeCluster => {
                scene.copy = Copy { arn: Some(OLD.into()), status: available(), ..Copy::default() };
                scene.global = global(vec![one(UP, true, "connected"), one(OLD, false, "connected")]);
            }
            Next::MakeInstance(old) => scene.instances.push((was(old).to_owned(), "available".into())),
            other => panic!("{other:?} is no change"),
        }
    }

    #[test]
    fn the_way_back_is_walked_from_what_is_seen() {
        let mut scene = scene();
        let mut walked = Vec::new();
        while scene.next() != Next::Done {
            let next = scene.next();
            assert_eq!(scene.next(), next, "a lost reply changes nothing of what comes next until it is seen");
            done(&mut scene, &next);
            walked.push(next);
            assert!(walked.len() < 20, "{walked:?}");
        }
        let renamed = |n: u32| Next::RenameInstance(format!("pay-east-{n}"));
        let made = |n: u32| Next::MakeInstance(format!("pay-east-{n}-before-3"));
        let expected = [
            Next::Snapshot,
            Next::Leave,
            renamed(1),
            renamed(2),
            Next::RenameCluster,
            Next::RenameGlobal,
            Next::MakeGlobal,
            Next::MakeCluster,
            made(1),
            made(2),
        ];
        assert_eq!(walked, expected);
    }

    #[test]
    fn nothing_is_changed_of_a_writer_or_for_one_that_is_not_seen_to_write() {
        let is_refused = |scene: &Scene| matches!(scene.next(), Next::Refuse(..));
        let open = Scene { copy: Copy { security: BTreeSet::from(["sg-open".into()]), ..scene().copy }, ..scene() };
        assert!(is_refused(&open));
        let unmarked = Scene { copy: Copy { stopped_at: None, ..scene().copy }, ..scene() };
        assert!(is_refused(&unmarked));
        let lost = Scene { upstream: Copy { status: Some("failed".into()), ..scene().upstream }, ..scene() };
        assert!(is_refused(&lost));
        let kept = Scene { copy: Copy::default(), old: Some("available".into()), ..lost };
        assert!(is_refused(&kept));
        let followed =
            Scene { global: global(vec![one(OLD, true, "connected"), one(UP, false, "connected")]), ..scene() };
        assert!(is_refused(&followed), "the writer follows it");
        let strangers = global(vec![one(OLD, true, "connected"), one("arn:other", false, "connected")]);
        let led = Scene { snapshot: Some("available".into()), global: strangers, ..scene() };
        assert!(is_refused(&led), "somebody else follows it");
        assert!(is_refused(&Scene { kept: format!("pay-east-before-{}", "9".repeat(60)), ..scene() }));
        assert!(is_refused(&Scene { copy: Copy::default(), ..scene() }), "nothing says what it was like");
    }

    #[test]
    fn what_is_under_way_is_waited_for() {
        assert_eq!(Scene { snapshot: Some("creating".into()), ..scene() }.next(), Next::Wait);
        let renaming = vec![("pay-east-1-before-3".to_owned(), "modifying".to_owned())];
        let left = Scene { snapshot: Some("available".into()), global: global(vec![]), instances: renaming, ..scene() };
        assert_eq!(left.next(), Next::Wait);
        let rebuilt = global(vec![one(UP, true, "connected"), one(OLD, false, "pending-resync")]);
        assert_eq!(Scene { global: rebuilt, ..scene() }.next(), Next::Wait);
    }

    #[test]
    fn what_is_kept_says_of_whom_and_since_when() {
        assert_eq!(kept("pay-east", 3), "pay-east-before-3");
        assert_eq!(kept("pay-east-1-before-2", 3), "pay-east-1-before-3");
        let names =
            ["pay-east", "pay-east-before-9", "pay-east-before-10", "pay-east-before-x", "pay-eastern-before-11"];
        assert_eq!(newest("pay-east", names.into_iter()), Some("pay-east-before-10"));
    }
}

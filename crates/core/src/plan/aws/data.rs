//! The kinds of AWS that hold replicated data.

use crate::id::Region;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// `kind: aurora`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuroraPlan {
    /// Identifier of the global cluster.
    pub global_cluster: String,
    /// `detach`: a copy may be taken out of the global cluster and promoted alone when the global calls fail.
    pub may_detach: bool,
    /// `snapshot`: which changes a snapshot is made before; before a region joins again always.
    pub snapshot: SnapshotBefore,
    /// One member per region.
    pub regions: BTreeMap<Region, AuroraMember>,
}

/// A member of a global cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuroraMember {
    /// Identifier of the DB cluster.
    pub cluster: String,
    /// `HOST:PORT` of its endpoint, dialled as a second opinion.
    pub address: Option<String>,
    /// Security groups with which clients reach it.
    pub open_groups: Vec<String>,
    /// Security groups with which nobody does: the way to silence it after a detach. Empty: there is none.
    pub closed_groups: Vec<String>,
}

impl AuroraPlan {
    /// Each member has groups that let nobody in, so an old writer can be silenced and its region joined again.
    pub fn can_close(&self) -> bool {
        self.regions.values().all(|member| !member.closed_groups.is_empty())
    }
}

/// Which changes a snapshot is made before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotBefore {
    /// `never`.
    #[default]
    Nothing,
    /// `before-rejoin`: of what is renamed and kept, before that.
    Rejoin,
    /// `always`: of a copy before it is promoted, or of a writer before a planned move, too.
    Changes,
}

/// `kind: rds`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RdsPlan {
    /// `snapshot`: which changes a snapshot is made before.
    pub snapshot: SnapshotBefore,
    /// `backups_within`: how old the newest moment may be to which replicated automated backups can be restored.
    pub backups_within: Option<Duration>,
    /// `backups: follow`: their replication is turned round when a region joins again.
    pub backups_follow: bool,
    /// One instance per region: one writes, the others are its read replicas.
    pub regions: BTreeMap<Region, RdsInstance>,
}

/// An RDS instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RdsInstance {
    /// Identifier of the DB instance.
    pub instance: String,
    /// `HOST:PORT` of its endpoint, dialled as a second opinion.
    pub address: Option<String>,
    /// Security groups with which clients reach it.
    pub open_groups: Vec<String>,
    /// Security groups with which nobody does: the way to stop writes. Empty: there is none.
    pub closed_groups: Vec<String>,
}

/// `kind: elasticache`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ElastiCachePlan {
    /// Id of the global datastore, with the prefix that AWS gave it.
    pub global_datastore: String,
    /// `detach`: a group may be taken out of the datastore when the global call fails.
    pub may_detach: bool,
    /// One member per region.
    pub regions: BTreeMap<Region, ElastiCacheMember>,
}

/// A member of a global datastore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ElastiCacheMember {
    /// Id of the replication group.
    pub group: String,
    /// `HOST:PORT` of its primary endpoint, dialled as a second opinion.
    pub address: Option<String>,
}

/// `kind: s3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct S3Plan {
    /// `existing_copied`: a batch replication has copied what was there before the rules.
    pub existing_copied: bool,
    /// Two buckets.
    pub regions: BTreeMap<Region, S3Bucket>,
}

/// A bucket and the rule in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct S3Bucket {
    /// Its name.
    pub bucket: String,
    /// Id of the replication rule in it that copies to the other bucket.
    pub rule: String,
}

impl S3Plan {
    /// The region of the other bucket.
    pub fn other<'a>(&'a self, region: &Region) -> Option<&'a Region> {
        self.regions.keys().find(|r| *r != region)
    }
}

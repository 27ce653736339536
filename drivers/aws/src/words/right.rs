//! Which calls of each kind change something, upon what, and what AWS says of the rights to them.
//!
//! Most looks are not here: `check --live` makes them, so it finds by itself that one is denied. Those that only a move makes
//! are. Terraform's policies (`terraform/modules/iam/rights.json`), and through them docs/aws.md, are compared with these tables
//! by tests.

use pilotlight_core::id::Region;
use pilotlight_core::plan::aws::{AuroraMember, AwsComponent, AwsPlan, RdsInstance, Route53Plan, SnapshotBefore};

/// Calls that change something, by kind. Those of a detach only where the plan allows it.
pub const CHANGES: &[(&str, &[&str])] = &[
    (
        "aurora",
        &[
            "rds:SwitchoverGlobalCluster",
            "rds:FailoverGlobalCluster",
            "rds:RemoveFromGlobalCluster",
            "rds:ModifyDBCluster",
            "rds:RebootDBInstance",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
            "rds:CreateDBClusterSnapshot",
            "rds:ModifyDBInstance",
            "rds:ModifyGlobalCluster",
            "rds:CreateGlobalCluster",
            "rds:CreateDBCluster",
            "rds:CreateDBInstance",
            PASS_ROLE,
        ],
    ),
    (
        "rds",
        &[
            "rds:ModifyDBInstance",
            "rds:RebootDBInstance",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
            "rds:PromoteReadReplica",
            "rds:CreateDBInstanceReadReplica",
            SNAPSHOT,
            BACKUPS[0],
            BACKUPS[1],
            PASS_ROLE,
        ],
    ),
    ("elasticache", &["elasticache:FailoverGlobalReplicationGroup", "elasticache:DisassociateGlobalReplicationGroup"]),
    ("s3", &["s3:PutReplicationConfiguration", PASS_ROLE]),
    ("ecs", &["ecs:UpdateService"]),
    ("autoscaling", &["autoscaling:UpdateAutoScalingGroup"]),
    ("eks", &["eks:UpdateNodegroupConfig"]),
    ("route53", &["route53:ChangeResourceRecordSets", "s3:PutObject", "s3:DeleteObject"]),
    ("global-accelerator", &["globalaccelerator:UpdateEndpointGroup"]),
    ("sns", &["sns:Publish"]),
];

/// Looks that only a move makes, and without which it cannot tell that AWS is done.
const KEPT_CLUSTER: &str = "rds:DescribeDBClusterSnapshots";
const KEPT_INSTANCE: &str = "rds:DescribeDBSnapshots";
const COPIED_BACKUPS: &str = "rds:DescribeDBInstanceAutomatedBackups";
const NODES_UPDATE: &str = "eks:DescribeUpdate";
const IN_SYNC: &str = "route53:GetChange";
const DEPLOYED: &str = "globalaccelerator:DescribeAccelerator";

/// What a service asks of a key of the user's in the caller's name, by kind.
pub const KEY_CALLS: &[(&str, &[&str])] = &[
    ("aurora", &["kms:CreateGrant", "kms:DescribeKey"]),
    ("rds", &["kms:CreateGrant", "kms:DescribeKey"]),
    ("sns", &["kms:Decrypt", "kms:GenerateDataKey"]),
];

/// Only where the plan wants snapshots.
const SNAPSHOT: &str = "rds:CreateDBSnapshot";
/// Only where backups go with the writer.
const BACKUPS: [&str; 2] =
    ["rds:StartDBInstanceAutomatedBackupsReplication", "rds:StopDBInstanceAutomatedBackupsReplication"];
/// Upon a role that only a look names: of a bucket's rules, or the one that an instance is watched with.
pub(crate) const PASS_ROLE: &str = "iam:PassRole";
/// Of a name: records are changed, or an object is put and deleted.
const RECORDS: [&str; 1] = ["route53:ChangeResourceRecordSets"];
const DETACHES: [&str; 2] = ["rds:RemoveFromGlobalCluster", "elasticache:DisassociateGlobalReplicationGroup"];
/// Of the way back after a detach: upon the region's own cluster.
const BACK_HERE: [&str; 5] = [
    "rds:ModifyDBCluster",
    "rds:AddTagsToResource",
    "rds:RemoveTagsFromResource",
    "rds:CreateDBClusterSnapshot",
    "rds:CreateDBCluster",
];
/// Before a planned move of Aurora, where the plan wants a snapshot then: the first upon the region's own cluster, both upon
/// the snapshot.
const KEPT_FIRST: [&str; 2] = ["rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"];
/// Upon the global cluster.
const BACK_GLOBAL: [&str; 2] = ["rds:ModifyGlobalCluster", "rds:CreateGlobalCluster"];
/// Upon instances, which no plan names: not simulated.
const BACK_INSTANCES: [&str; 3] = ["rds:RebootDBInstance", "rds:ModifyDBInstance", "rds:CreateDBInstance"];

/// What a role must be allowed to do in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The calls.
    pub actions: Vec<&'static str>,
    /// ARNs; each call needs each of them.
    pub resources: Vec<String>,
}

/// Where ARNs are made for.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Twelve digits.
    pub id: &'a str,
    /// How AWS's regions are called.
    pub plan: &'a AwsPlan,
}

impl Account<'_> {
    fn arn(&self, service: &str, region: Option<&Region>, rest: &str) -> String {
        let name = region.map_or("", |r| self.plan.name_of(r));
        let any = self.plan.regions.keys().chain(region).map(|r| self.plan.name_of(r)).next();
        let partition = partition_of(any.unwrap_or_default());
        let account = if service == "s3" || service == "route53" { "" } else { self.id };
        format!("arn:{partition}:{service}:{name}:{account}:{rest}")
    }

    /// What the component's driver needs where it calls for that region. `seen` are the ARNs that only a look knows: of
    /// Auto Scaling groups and node groups.
    pub fn rights(&self, component: &AwsComponent, region: &Region, seen: Option<String>) -> Option<Vec<Rights>> {
        let mut all = self.changes(component, region, seen.clone())?;
        all.extend(self.later(component, region, seen));
        Some(all)
    }

    /// The looks that only a move makes, each upon something that a policy for the thing of the plan allows.
    fn later(&self, component: &AwsComponent, region: &Region, seen: Option<String>) -> Vec<Rights> {
        let rds = |rest: String| self.arn("rds", Some(region), &rest);
        let looks: Vec<(&'static str, Option<String>)> = match component {
            AwsComponent::Aurora(a) if component.keeps_first() || a.may_detach && a.can_close() => {
                let kept = |m: &AuroraMember| format!("cluster-snapshot:{}-at-1", m.cluster.to_ascii_lowercase());
                vec![(KEPT_CLUSTER, a.regions.get(region).map(kept).map(rds))]
            }
            AwsComponent::Rds(r) => {
                let kept = |i: &RdsInstance| format!("snapshot:{}-at-1", i.instance.to_ascii_lowercase());
                let kept = r.regions.get(region).filter(|_| r.snapshot != SnapshotBefore::Nothing).map(kept);
                let copied = r.backups_follow.then(|| "auto-backup:ab-1".to_owned());
                vec![(KEPT_INSTANCE, kept.map(rds)), (COPIED_BACKUPS, copied.map(rds))]
            }
            AwsComponent::Eks(_) => vec![(NODES_UPDATE, seen)],
            AwsComponent::Route53(r) if r.switch.is_none() => {
                vec![(IN_SYNC, Some(self.arn("route53", None, "change/C0")))]
            }
            AwsComponent::Accelerator(a) => vec![(DEPLOYED, Some(a.accelerator().to_owned()))],
            _ => Vec::new(),
        };
        let right =
            |(look, on): (&'static str, Option<String>)| Some(Rights { actions: vec![look], resources: vec![on?] });
        looks.into_iter().filter_map(right).collect()
    }

    fn changes(&self, component: &AwsComponent, region: &Region, seen: Option<String>) -> Option<Vec<Rights>> {
        let (kind, resources) = self.resources(component, region, seen)?;
        if let AwsComponent::Route53(name) = component {
            let (_, all) = CHANGES.iter().find(|(k, _)| *k == kind)?;
            let wanted = |a: &&&str| name.switch.is_some() != RECORDS.contains(a);
            return Some(vec![Rights { actions: all.iter().filter(wanted).copied().collect(), resources }]);
        }
        let may_detach = match component {
            AwsComponent::Aurora(a) => a.may_detach,
            AwsComponent::ElastiCache(e) => e.may_detach,
            _ => false,
        };
        let (_, actions) = CHANGES.iter().find(|(k, _)| *k == kind)?;
        let mut all = Vec::new();
        if let AwsComponent::Aurora(a) = component
            && may_detach
            && a.can_close()
        {
            let own = self.arn("rds", Some(region), &format!("cluster:{}", a.regions.get(region)?.cluster));
            let global = self.arn("rds", None, &format!("global-cluster:{}", a.global_cluster));
            all.push(Rights { actions: BACK_HERE.to_vec(), resources: vec![own] });
            all.push(Rights { actions: BACK_GLOBAL.to_vec(), resources: vec![global] });
        }
        if let AwsComponent::Aurora(a) = component
            && component.keeps_first()
        {
            let cluster = &a.regions.get(region)?.cluster;
            let arn = |rest: String| self.arn("rds", Some(region), &rest);
            all.push(Rights { actions: vec![KEPT_FIRST[0]], resources: vec![arn(format!("cluster:{cluster}"))] });
            let kept = arn(format!("cluster-snapshot:{}-at-1", cluster.to_ascii_lowercase()));
            all.push(Rights { actions: KEPT_FIRST.to_vec(), resources: vec![kept] });
        }
        let later = |a: &&str| {
            let back = BACK_HERE.iter().chain(&BACK_GLOBAL).chain(&BACK_INSTANCES);
            kind == "aurora" && back.into_iter().any(|b| b == a)
        };
        let snapshots = matches!(component, AwsComponent::Rds(r) if r.snapshot != SnapshotBefore::Nothing);
        let follow = matches!(component, AwsComponent::Rds(r) if r.backups_follow);
        let is_asked = |a: &&&str| {
            let wanted = (snapshots || **a != SNAPSHOT) && (follow || !BACKUPS.contains(a));
            **a != PASS_ROLE && wanted && !later(a) && (may_detach || !DETACHES.contains(a))
        };
        all.insert(0, Rights { actions: actions.iter().filter(is_asked).copied().collect(), resources });
        Some(all)
    }

    fn resources(
        &self,
        component: &AwsComponent,
        region: &Region,
        seen: Option<String>,
    ) -> Option<(&'static str, Vec<String>)> {
        let here = |service: &str, rest: String| self.arn(service, Some(region), &rest);
        Some(match component {
            AwsComponent::Aurora(a) => {
                // A planned move names the other region's cluster in the writer's region.
                let of = |(r, member): (&Region, &AuroraMember)| {
                    self.arn("rds", Some(r), &format!("cluster:{}", member.cluster))
                };
                let global = self.arn("rds", None, &format!("global-cluster:{}", a.global_cluster));
                ("aurora", std::iter::once(global).chain(a.regions.iter().map(of)).collect())
            }
            AwsComponent::Rds(r) => ("rds", vec![here("rds", format!("db:{}", r.regions.get(region)?.instance))]),
            AwsComponent::ElastiCache(e) => {
                let global = format!("globalreplicationgroup:{}", e.global_datastore);
                let group = format!("replicationgroup:{}", e.regions.get(region)?.group);
                ("elasticache", vec![self.arn("elasticache", None, &global), here("elasticache", group)])
            }
            AwsComponent::S3(s) => ("s3", vec![self.arn("s3", None, &s.regions.get(region)?.bucket)]),
            AwsComponent::Ecs(e) => {
                let place = e.regions.get(region)?;
                ("ecs", vec![here("ecs", format!("service/{}/{}", place.cluster, place.service))])
            }
            AwsComponent::Autoscaling(_) => ("autoscaling", vec![seen?]),
            AwsComponent::Eks(_) => ("eks", vec![seen?]),
            AwsComponent::Route53(Route53Plan { switch: Some(s), .. }) => {
                ("route53", vec![self.arn("s3", None, &format!("{}/{}", s.bucket, s.object))])
            }
            AwsComponent::Route53(r) => ("route53", vec![self.arn("route53", None, &format!("hostedzone/{}", r.zone))]),
            AwsComponent::Accelerator(a) => ("global-accelerator", vec![a.regions.get(region)?.clone()]),
            AwsComponent::Sns(s) => ("sns", vec![s.topic.clone()]),
        })
    }
}

/// The part of AWS that a region, as AWS names it, belongs to.
fn partition_of(region: &str) -> &'static str {
    match region {
        name if name.starts_with("cn-") => "aws-cn",
        name if name.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Whose policies are simulated: a role's sessions have those of the role. `None` for an account's root, which may do all.
pub fn principal_of(caller: &str) -> Option<String> {
    let parts: Vec<&str> = caller.splitn(6, ':').collect();
    let [arn, partition, _, _, account, who] = parts.as_slice() else { return None };
    if *who == "root" {
        return None;
    }
    match who.strip_prefix("assumed-role/") {
        // The session's name is the last part. The path of the role is not in it; `aws.role` has it.
        Some(rest) => {
            let role = rest.split('/').next()?;
            Some(format!("{arn}:{partition}:iam::{account}:role/{role}"))
        }
        None => Some(caller.to_owned()),
    }
}

/// The ARN of a key that an ARN or an id names. An alias does not say which key it is.
pub fn key_arn(key: &str, region: &str, account: &str) -> Option<String> {
    let partition = partition_of(region);
    match key {
        key if key.contains("alias/") => None,
        key if key.starts_with("arn:") => Some(key.to_owned()),
        id => Some(format!("arn:{partition}:kms:{region}:{account}:key/{id}")),
    }
}

/// Calls that the answer of `SimulatePrincipalPolicy` does not allow.
pub fn denied(answer: &str) -> Vec<(String, String)> {
    let between = |text: &str, tag: &str| {
        let rest = text.split(&format!("<{tag}>")).nth(1)?;
        Some(rest.split(&format!("</{tag}>")).next()?.to_owned())
    };
    let results = answer.split("<EvalActionName>").skip(1).map(|part| format!("<EvalActionName>{part}"));
    let read = |part: String| Some((between(&part, "EvalActionName")?, between(&part, "EvalDecision")?));
    let mut found: Vec<(String, String)> = results.filter_map(read).filter(|(_, said)| said != "allowed").collect();
    found.dedup();
    found
}

/// How many results the answer has: as many as were asked for, or something else was answered.
pub fn results(answer: &str) -> usize {
    answer.matches("<EvalActionName>").count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Calls that change nothing, by how they begin.
    const LOOKS: [&str; 3] = ["Describe", "Get", "List"];

    fn is_look(call: &str) -> bool {
        call.split(':').nth(1).is_some_and(|a| LOOKS.iter().any(|l| a.starts_with(l)))
    }

    #[test]
    fn the_table_has_what_the_policies_give_beside_looks() {
        let given: BTreeMap<String, BTreeMap<String, String>> =
            serde_json::from_str(include_str!("../../../../terraform/modules/iam/rights.json")).expect("it is JSON");
        for (kind, calls) in given
            .iter()
            .filter(|(kind, _)| !["needs", "distributions", "rights", "alarms", "metrics"].contains(&kind.as_str()))
        {
            let changes: BTreeSet<&str> = calls.keys().map(String::as_str).filter(|c| !is_look(c)).collect();
            let ours = CHANGES.iter().find(|(k, _)| k == kind).map(|(_, c)| c.iter().copied().collect());
            assert_eq!(Some(changes), ours, "{kind}");
        }
    }

    const LATER: [&str; 6] = [KEPT_CLUSTER, KEPT_INSTANCE, COPIED_BACKUPS, NODES_UPDATE, IN_SYNC, DEPLOYED];

    /// What `check --live` calls by itself, so that it sees a denial.
    const LOOKED_AT: [&str; 28] = [
        "acm:DescribeCertificate",
        "application-autoscaling:DescribeScalableTargets",
        "autoscaling:DescribeAutoScalingGroups",
        "cloudfront:GetDistribution",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricStatistics",
        "ecr:DescribeImages",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "eks:DescribeCluster",
        "eks:DescribeNodegroup",
        "elasticache:DescribeGlobalReplicationGroups",
        "elasticache:DescribeReplicationGroups",
        "globalaccelerator:ListEndpointGroups",
        "kms:DescribeKey",
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:DescribeGlobalClusters",
        "route53:GetHealthCheck",
        "route53:GetHealthCheckStatus",
        "route53:ListResourceRecordSets",
        "s3:GetBucketVersioning",
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
        "secretsmanager:DescribeSecret",
        "servicequotas:GetAWSDefaultServiceQuota",
        "servicequotas:GetServiceQuota",
        "sns:GetTopicAttributes",
    ];

    #[test]
    fn each_look_that_the_policies_give_is_made_by_the_check_or_simulated() {
        let given: BTreeMap<String, BTreeMap<String, String>> =
            serde_json::from_str(include_str!("../../../../terraform/modules/iam/rights.json")).expect("it is JSON");
        let looks = given.values().flat_map(BTreeMap::keys).map(String::as_str).filter(|c| is_look(c));
        let known: BTreeSet<&str> = LOOKED_AT.into_iter().chain(LATER).collect();
        assert_eq!(looks.collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn the_table_has_what_the_policies_give_on_keys() {
        let given: BTreeMap<String, Vec<String>> =
            serde_json::from_str(include_str!("../../../../terraform/modules/iam/keys.json")).expect("it is JSON");
        let texts = |calls: &[&str]| calls.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let ours = KEY_CALLS.iter().map(|(kind, calls)| ((*kind).to_owned(), texts(calls))).collect();
        assert_eq!(given, ours);
    }

    #[test]
    fn a_session_has_the_rights_of_its_role() {
        let role = Some("arn:aws:iam::1:role/pilotlight".to_owned());
        assert_eq!(principal_of("arn:aws:sts::1:assumed-role/pilotlight/session"), role);
        assert_eq!(principal_of("arn:aws:iam::1:user/team/ann"), Some("arn:aws:iam::1:user/team/ann".to_owned()));
        assert_eq!(principal_of("arn:aws:iam::1:root"), None);
    }

    #[test]
    fn a_key_is_known_by_its_arn_or_id_and_not_by_an_alias() {
        let of = |key| key_arn(key, "eu-west-1", "1");
        assert_eq!(of("arn:aws:kms:eu-west-1:2:key/k").as_deref(), Some("arn:aws:kms:eu-west-1:2:key/k"));
        assert_eq!(of("k").as_deref(), Some("arn:aws:kms:eu-west-1:1:key/k"));
        assert_eq!(key_arn("k", "us-gov-west-1", "1").as_deref(), Some("arn:aws-us-gov:kms:us-gov-west-1:1:key/k"));
        assert_eq!((of("alias/people"), of("arn:aws:kms:eu-west-1:1:alias/people")), (None, None));
    }

    #[test]
    fn what_is_not_allowed_is_read() {
        let one = |action: &str, said: &str| {
            format!("<member><EvalActionName>{action}</EvalActionName><EvalDecision>{said}</EvalDecision></member>")
        };
        let answer = format!("{}{}", one("ecs:UpdateService", "allowed"), one("sns:Publish", "implicitDeny"));
        assert_eq!(denied(&answer), [("sns:Publish".to_owned(), "implicitDeny".to_owned())]);
        assert_eq!(results(&answer), 2);
    }

    #[test]
    fn a_detach_is_asked_for_only_where_the_plan_allows_it() {
        let regions = [(Region::from("us-east-1"), aurora("east")), (Region::from("us-west-2"), aurora("west"))];
        let mut plan = pilotlight_core::plan::aws::AuroraPlan {
            global_cluster: "pay".to_owned(),
            regions: regions.into(),
            ..pilotlight_core::plan::aws::AuroraPlan::default()
        };
        let names = AwsPlan::default();
        let account = Account { id: "123456789012", plan: &names };
        let of = |plan: &pilotlight_core::plan::aws::AuroraPlan| {
            account.rights(&AwsComponent::Aurora(plan.clone()), &"us-west-2".into(), None).expect("it has rights")
        };
        assert_eq!((of(&plan).len(), of(&plan)[0].actions.len()), (1, 2));
        assert_eq!(
            of(&plan)[0].resources,
            [
                "arn:aws:rds::123456789012:global-cluster:pay",
                "arn:aws:rds:us-east-1:123456789012:cluster:east",
                "arn:aws:rds:us-west-2:123456789012:cluster:west"
            ]
        );
        plan.snapshot = SnapshotBefore::Changes;
        let kept: Vec<(usize, Vec<String>)> =
            of(&plan)[1..].iter().map(|r| (r.actions.len(), r.resources.clone())).collect();
        let arn = |rest: &str| vec![format!("arn:aws:rds:us-west-2:123456789012:{rest}")];
        let snapshot = || arn("cluster-snapshot:west-at-1");
        assert_eq!(kept, [(1, arn("cluster:west")), (2, snapshot()), (1, snapshot())]);
        plan.snapshot = SnapshotBefore::Rejoin;
        plan.may_detach = true;
        assert!(of(&plan)[0].actions.contains(&"rds:RemoveFromGlobalCluster"));
        assert_eq!(of(&plan).len(), 1, "nobody can silence an old writer, so none joins again");
        for member in plan.regions.values_mut() {
            member.closed_groups = vec!["sg-closed".to_owned()];
        }
        let back: Vec<&str> = of(&plan)[1..].iter().flat_map(|r| r.actions.clone()).collect();
        assert_eq!((back.len(), back.last()), (8, Some(&KEPT_CLUSTER)), "{back:?}");
        assert_eq!(of(&plan)[1].resources, ["arn:aws:rds:us-west-2:123456789012:cluster:west"]);
    }

    fn aurora(cluster: &str) -> AuroraMember {
        AuroraMember { cluster: cluster.to_owned(), address: None, open_groups: vec![], closed_groups: vec![] }
    }
}

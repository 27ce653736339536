//! Looks at clusters and node groups, and what a move would stumble over there.

use super::{EksDriver, LOOK};
use crate::autoscaling::{group_of, in_service};
use crate::finding::{finding, not_asked};
use crate::words::nodes::{NodeGroup, Sizes};
use crate::words::refusal::Said;
use aws_sdk_eks::types::{Cluster, ClusterStatus, Nodegroup, UpdateStatus};
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Finding, Severity};

impl EksDriver {
    /// `None` when there is no such cluster.
    pub(super) async fn cluster(&self, region: &Region) -> Result<Option<Cluster>, Failure> {
        let (place, client) = (self.place(region)?, self.client(region).await?);
        let send = || client.describe_cluster().name(&place.cluster).send();
        match self.access.read(self.call(region, "DescribeCluster"), LOOK, send).await {
            Ok(answer) => Ok(answer.cluster().cloned()),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    /// `None` when there is no such group, or no such cluster.
    pub(crate) async fn node_group(&self, region: &Region) -> Result<Option<NodeGroup>, Failure> {
        let (place, client) = (self.place(region)?, self.client(region).await?);
        let send = || client.describe_nodegroup().cluster_name(&place.cluster).nodegroup_name(&place.node_group).send();
        match self.access.read(self.call(region, "DescribeNodegroup"), LOOK, send).await {
            Ok(answer) => Ok(answer.nodegroup().map(read)),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }

    /// The group, and how many of its instances are in service.
    pub(super) async fn must(&self, region: &Region) -> Result<(NodeGroup, u32), Failure> {
        let place = self.place(region)?;
        let missing = || {
            let what =
                format!("there is no node group {} of EKS cluster {} in {region}", place.node_group, place.cluster);
            Failure::rejected(what).hint(super::COMPARE)
        };
        let group = self.node_group(region).await?.ok_or_else(missing)?;
        let serve = match &group.scaled_by {
            Some(name) => group_of(&self.access, region, name).await?.map_or(0, |g| in_service(&g)),
            None => 0,
        };
        Ok((group, serve))
    }

    /// Fails when AWS's record of the change says that it failed.
    pub(super) async fn must_not_have_failed(&self, region: &Region, id: &str) -> Result<(), Failure> {
        let (place, client) = (self.place(region)?, self.client(region).await?);
        let send = || {
            let call = client.describe_update().name(&place.cluster).nodegroup_name(&place.node_group);
            call.update_id(id).send()
        };
        let answer = self.access.read(self.call(region, "DescribeUpdate"), LOOK, send).await;
        let answer = answer.map_err(|r| r.not_seen())?;
        let Some(update) = answer.update() else { return Ok(()) };
        if !matches!(update.status(), Some(UpdateStatus::Failed | UpdateStatus::Cancelled)) {
            return Ok(());
        }
        let said: Vec<&str> = update.errors().iter().filter_map(|e| e.error_message()).collect();
        let why = if said.is_empty() { "no reason is given".to_owned() } else { said.join("; ") };
        let message = format!("EKS gave up on the size of {} in {region}: {why}", self.component);
        Err(Failure::rejected(message).hint("mend what it names, then try the step again"))
    }

    /// What would keep the group from having so many nodes.
    pub(super) fn of_group(&self, region: &Region, group: &NodeGroup, nodes: u32) -> Vec<Finding> {
        let what = format!("the node group of {} in {region}", self.component);
        let mut found = Vec::new();
        if group.is_degraded() || group.is_lost() {
            let message = format!("{what} is {}: {}", group.status, group.why());
            let hint = "mend what EKS names; until then new nodes may not come";
            found.push(finding(code::AWS_NODES_DEGRADED, Severity::Blocker, message, hint));
        } else if !group.is_settled() {
            let message = format!("{what} is {}: AWS refuses another change meanwhile", group.status);
            let hint = "wait until it is ACTIVE";
            found.push(finding(code::AWS_NODES_DEGRADED, Severity::Warning, message, hint));
        } else if !group.issues.is_empty() {
            let message = format!("{what} has issues: {}", group.why());
            found.push(finding(code::AWS_NODES_DEGRADED, Severity::Warning, message, "mend what EKS names"));
        }
        if nodes > group.sizes.most && self.most(nodes).is_none() {
            let message =
                format!("{what} may have {} nodes and a move asks for {nodes}; it raises that", group.sizes.most);
            let hint = "say `active_max` where the cluster's own autoscaler is to have room";
            found.push(finding(code::AWS_SIZE, Severity::Note, message, hint));
        }
        found
    }

    /// A cluster that is not usable, or runs another version than the other region's.
    pub(super) async fn of_versions(&self, region: &Region, cluster: &Cluster) -> Vec<Finding> {
        let name = cluster.name().unwrap_or_default();
        let mut found = Vec::new();
        if let Some(status @ (ClusterStatus::Failed | ClusterStatus::Deleting | ClusterStatus::Creating)) =
            cluster.status()
        {
            let message = format!("EKS cluster {name} in {region} is {}", status.as_str());
            found.push(finding(code::AWS_NODES_DEGRADED, Severity::Blocker, message, "look at it in AWS's console"));
        }
        let here = cluster.version().unwrap_or("unknown");
        for other in self.plan.regions.keys().filter(|r| *r != region) {
            match Box::pin(self.cluster(other)).await {
                Ok(Some(there)) if there.version().unwrap_or("unknown") != here => {
                    let version = there.version().unwrap_or("unknown");
                    let component = &self.component;
                    let message =
                        format!("the control plane of {component} runs {here} in {region} and {version} in {other}");
                    let hint = "upgrade the older one: what is deployed to one may be refused by the other";
                    found.push(finding(code::AWS_SKEW, Severity::Warning, message, hint));
                }
                Ok(_) => {}
                // A lost region is not compared with.
                Err(failure) => found.push(Finding { severity: Severity::Note, ..not_asked(failure) }),
            }
        }
        found
    }
}

fn read(group: &Nodegroup) -> NodeGroup {
    let number = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let sizes = group.scaling_config().map(|s| Sizes {
        least: number(s.min_size()),
        most: number(s.max_size()),
        wanted: number(s.desired_size()),
    });
    let issues = group.health().map(|h| h.issues()).unwrap_or_default().iter().map(|issue| {
        let code = issue.code().map_or("an issue", |c| c.as_str());
        format!("{code}: {}", issue.message().unwrap_or("without a message"))
    });
    let scaled_by = group.resources().and_then(|r| r.auto_scaling_groups().first()).and_then(|g| g.name());
    NodeGroup {
        arn: group.nodegroup_arn().unwrap_or_default().to_owned(),
        status: group.status().map_or("unknown", |s| s.as_str()).to_owned(),
        sizes: sizes.unwrap_or_default(),
        scaled_by: scaled_by.map(str::to_owned),
        issues: issues.collect(),
    }
}

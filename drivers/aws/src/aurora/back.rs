//! The changes on the way back, one call each.

use super::AuroraDriver;
use super::reattach::{Back, Way};
use crate::call::Refused;
use crate::tags::theirs;
use crate::words::reattach::{Next, kept, was};
use aws_sdk_rds::types::{DbCluster, DbInstance, ServerlessV2ScalingConfiguration};

impl AuroraDriver {
    /// Does one step that changes something.
    pub(super) async fn go(&self, way: &Way<'_>, back: &Back, next: &Next) -> Result<(), Refused> {
        match next {
            Next::Snapshot => self.take_snapshot(way, back).await,
            Next::Leave => self.leave(way, back).await,
            Next::RenameInstance(name) => self.rename_instance(way, name).await,
            Next::RenameCluster => self.rename_cluster(way, back).await,
            Next::RenameGlobal => self.rename_global(way).await,
            Next::MakeGlobal => self.make_global(way, back).await,
            Next::MakeCluster => self.make_cluster(way, back).await,
            Next::MakeInstance(like) => self.make_instance(way, back, like).await,
            Next::Wait | Next::Done | Next::Refuse(..) => Ok(()),
        }
    }

    async fn take_snapshot(&self, way: &Way<'_>, back: &Back) -> Result<(), Refused> {
        let client = self.client(way.region).await;
        let (name, cluster) = (&back.scene.kept, back.scene.copy.name());
        let send = || {
            let call = client.create_db_cluster_snapshot().db_cluster_snapshot_identifier(name);
            call.db_cluster_identifier(cluster).send()
        };
        let call = self.call(way.region, "CreateDBClusterSnapshot");
        self.access.change(call, way.time, send).await.map(|_| ())
    }

    async fn leave(&self, way: &Way<'_>, back: &Back) -> Result<(), Refused> {
        let (client, global) = (self.client(way.region).await, &self.plan.global_cluster);
        let arn = back.scene.copy.arn.as_deref().unwrap_or_default();
        let send =
            || client.remove_from_global_cluster().global_cluster_identifier(global).db_cluster_identifier(arn).send();
        let call = self.call(way.region, "RemoveFromGlobalCluster");
        self.access.change(call, way.time, send).await.map(|_| ())
    }

    async fn rename_instance(&self, way: &Way<'_>, name: &str) -> Result<(), Refused> {
        let (client, kept) = (self.client(way.region).await, kept(name, way.epoch));
        let send = || {
            let call = client.modify_db_instance().db_instance_identifier(name).apply_immediately(true);
            call.new_db_instance_identifier(&kept).send()
        };
        let call = self.call(way.region, "ModifyDBInstance");
        self.access.change(call, way.time, send).await.map(|_| ())
    }

    async fn rename_cluster(&self, way: &Way<'_>, back: &Back) -> Result<(), Refused> {
        let client = self.client(way.region).await;
        let (name, kept) = (back.scene.copy.name(), &back.scene.kept);
        let send = || {
            let call = client.modify_db_cluster().db_cluster_identifier(name).apply_immediately(true);
            call.new_db_cluster_identifier(kept).send()
        };
        let call = self.call(way.region, "ModifyDBCluster");
        self.access.change(call, way.time, send).await.map(|_| ())
    }

    /// Nobody is in it any more. Its new name frees the plan's.
    async fn rename_global(&self, way: &Way<'_>) -> Result<(), Refused> {
        let (client, name) = (self.client(way.upstream).await, &self.plan.global_cluster);
        let kept = kept(name, way.epoch);
        let send = || {
            let call = client.modify_global_cluster().global_cluster_identifier(name);
            call.new_global_cluster_identifier(&kept).send()
        };
        let call = self.call(way.upstream, "ModifyGlobalCluster");
        self.access.change(call, way.time, send).await.map(|_| ())
    }

    async fn make_global(&self, way: &Way<'_>, back: &Back) -> Result<(), Refused> {
        let (client, name) = (self.client(way.upstream).await, &self.plan.global_cluster);
        let arn = back.scene.upstream.arn.as_deref().unwrap_or_default();
        let send = || {
            let call = client.create_global_cluster().global_cluster_identifier(name);
            call.source_db_cluster_identifier(arn).send()
        };
        let call = self.call(way.upstream, "CreateGlobalCluster");
        self.access.change(call, way.time, send).await.map(|_| ())
    }

    /// Like the old one, in the new global cluster. Users, passwords and databases come with the data.
    async fn make_cluster(&self, way: &Way<'_>, back: &Back) -> Result<(), Refused> {
        let Some(old) = &back.old else { return Ok(()) };
        let (client, member) = (self.client(way.region).await, &self.plan.regions[way.region]);
        let send = || {
            let call = client.create_db_cluster().db_cluster_identifier(&member.cluster);
            let call = call.global_cluster_identifier(&self.plan.global_cluster);
            let call = call.set_engine(old.engine().map(str::to_owned));
            let call = call.set_engine_version(old.engine_version().map(str::to_owned));
            let call = call.set_vpc_security_group_ids(Some(member.open_groups.clone()));
            let call = call.set_db_subnet_group_name(old.db_subnet_group().map(str::to_owned));
            let parameters = old.db_cluster_parameter_group().map(str::to_owned);
            let call = call.set_db_cluster_parameter_group_name(parameters).set_port(old.port());
            let call = call.set_storage_encrypted(old.storage_encrypted());
            let call = call
                .set_kms_key_id(old.kms_key_id().filter(|_| old.storage_encrypted() == Some(true)).map(str::to_owned));
            let call = call.set_backup_retention_period(old.backup_retention_period());
            let call = call.set_copy_tags_to_snapshot(old.copy_tags_to_snapshot());
            let call = call.set_enable_iam_database_authentication(old.iam_database_authentication_enabled());
            let logs = old.enabled_cloudwatch_logs_exports();
            let call = call.set_enable_cloudwatch_logs_exports((!logs.is_empty()).then(|| logs.to_vec()));
            let call = call.set_serverless_v2_scaling_configuration(serverless(old));
            call.set_tags(Some(theirs(old.tag_list()))).deletion_protection(true).send()
        };
        let call = self.call(way.region, "CreateDBCluster");
        self.access.change(call, way.time, send).await.map(|_| ())
    }

    async fn make_instance(&self, way: &Way<'_>, back: &Back, like: &str) -> Result<(), Refused> {
        let is = |i: &&DbInstance| i.db_instance_identifier() == Some(like);
        let Some(old) = back.old_instances.iter().find(is) else { return Ok(()) };
        let (client, cluster) = (self.client(way.region).await, &self.plan.regions[way.region].cluster);
        let send = || {
            let call = client.create_db_instance().db_instance_identifier(was(like)).db_cluster_identifier(cluster);
            let call = call.set_db_instance_class(old.db_instance_class().map(str::to_owned));
            let call = call.set_engine(old.engine().map(str::to_owned)).set_promotion_tier(old.promotion_tier());
            let call = call.set_auto_minor_version_upgrade(old.auto_minor_version_upgrade());
            let call = call.set_publicly_accessible(old.publicly_accessible());
            let parameters = old.db_parameter_groups().first().and_then(|g| g.db_parameter_group_name());
            let call = call.set_db_parameter_group_name(parameters.map(str::to_owned));
            let call = call.set_monitoring_interval(old.monitoring_interval());
            let call = call.set_monitoring_role_arn(old.monitoring_role_arn().map(str::to_owned));
            let insights = old.performance_insights_enabled();
            let key = old.performance_insights_kms_key_id().filter(|_| insights == Some(true)).map(str::to_owned);
            let call = call.set_enable_performance_insights(insights).set_performance_insights_kms_key_id(key);
            call.set_tags(Some(theirs(old.tag_list()))).send()
        };
        let call = self.call(way.region, "CreateDBInstance");
        self.access.change(call, way.time, send).await.map(|_| ())
    }
}

fn serverless(old: &DbCluster) -> Option<ServerlessV2ScalingConfiguration> {
    let sizes = old.serverless_v2_scaling_configuration()?;
    let config = ServerlessV2ScalingConfiguration::builder();
    Some(config.set_min_capacity(sizes.min_capacity()).set_max_capacity(sizes.max_capacity()).build())
}

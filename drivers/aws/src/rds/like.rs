//! What a new replica takes over from the instance whose name it gets.
//!
//! A move makes an instance that Terraform and the people of the old one do not know. What they had set up must be there all
//! the same: who logs in by IAM, what selects by tag, what watches. Class, groups and key are chosen in `copy`.
//!
//! Border: AWS takes a parameter group for a replica in another region from some engines only. Of all it is changed when the
//! replica follows, and takes effect at the reboot that every promotion makes.

use super::RdsDriver;
use super::turn::{Turn, goes_on_or};
use crate::tags::theirs;
use crate::words::instance::BACKUPS;
use aws_sdk_rds::operation::create_db_instance_read_replica::builders::CreateDBInstanceReadReplicaFluentBuilder;
use aws_sdk_rds::types::{DbInstance, Tag};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;
use pilotlight_driver::Context;

/// Every gp3 volume has so many I/O operations a second.
const GP3_BASELINE: i32 = 3_000;
/// And so many MiB a second.
const GP3_THROUGHPUT: i32 = 125;

/// `size` is the writer's storage in GiB, which the replica begins with; `backups` for how many days the old one kept them.
pub(super) fn like(
    call: CreateDBInstanceReadReplicaFluentBuilder,
    old: &DbInstance,
    size: Option<i32>,
    backups: Option<i32>,
) -> CreateDBInstanceReadReplicaFluentBuilder {
    let call = call.set_db_instance_class(old.db_instance_class().map(str::to_owned));
    let call = call.set_kms_key_id(old.kms_key_id().map(str::to_owned)).set_multi_az(old.multi_az());
    let subnets = old.db_subnet_group().and_then(|g| g.db_subnet_group_name()).map(str::to_owned);
    let call = call.set_db_subnet_group_name(subnets).set_storage_type(old.storage_type().map(str::to_owned));
    // What is no more than every volume of the kind has may not be asked for.
    let provisioned = old.storage_type().is_some_and(|kind| kind.starts_with("io"));
    let call = call.set_iops(old.iops().filter(|iops| provisioned || *iops > GP3_BASELINE));
    let call = call.set_storage_throughput(old.storage_throughput().filter(|mib| *mib > GP3_THROUGHPUT));
    // AWS wants a tenth more than there is.
    let above = |most: &i32| size.is_none_or(|size| i64::from(*most) * 10 >= i64::from(size) * 11);
    let call = call.set_max_allocated_storage(old.max_allocated_storage().filter(above));
    let call = call.set_enable_iam_database_authentication(old.iam_database_authentication_enabled());
    let call = call.set_option_group_name(option_group(old).filter(|_| may_choose_options(old)).map(str::to_owned));
    let logs = old.enabled_cloudwatch_logs_exports();
    let call = call.set_enable_cloudwatch_logs_exports((!logs.is_empty()).then(|| logs.to_vec()));
    let call = call.set_monitoring_interval(old.monitoring_interval());
    let call = call.set_monitoring_role_arn(old.monitoring_role_arn().map(str::to_owned));
    let insights = old.performance_insights_enabled();
    let on = insights == Some(true);
    let call = call
        .set_enable_performance_insights(insights)
        .set_database_insights_mode(old.database_insights_mode().cloned().filter(|_| on));
    let key = old.performance_insights_kms_key_id().filter(|_| on).map(str::to_owned);
    let call = call.set_performance_insights_kms_key_id(key);
    let retention = old.performance_insights_retention_period().filter(|_| on);
    let call = call.set_performance_insights_retention_period(retention);
    let call = call.set_copy_tags_to_snapshot(old.copy_tags_to_snapshot());
    let call = call.set_ca_certificate_identifier(old.ca_certificate_identifier().map(str::to_owned));
    let call = call.set_auto_minor_version_upgrade(old.auto_minor_version_upgrade());
    let call = call.set_publicly_accessible(old.publicly_accessible());
    let call = call.set_network_type(old.network_type().map(str::to_owned));
    let kept = backups.map(|days| Tag::builder().key(BACKUPS).value(days.to_string()).build());
    let tags: Vec<Tag> = theirs(old.tag_list()).into_iter().chain(kept).collect();
    call.set_tags((!tags.is_empty()).then_some(tags))
}

/// What of the instance no replica can be given by one call, in words.
pub(super) fn left_out(old: &DbInstance) -> Vec<String> {
    let roles = old.associated_roles().iter().filter_map(|r| r.role_arn()).map(|arn| format!("the role {arn}"));
    let domains = old.domain_memberships().iter().filter_map(|d| d.domain());
    let options = option_group(old).filter(|_| !may_choose_options(old));
    let domains = domains.map(|name| format!("the directory {name}"));
    roles.chain(domains).chain(options.map(|name| format!("the option group {name}"))).collect()
}

/// The option group that people chose.
fn option_group(old: &DbInstance) -> Option<&str> {
    let groups = old.option_group_memberships().iter().filter_map(|g| g.option_group_name());
    groups.into_iter().find(|name| !name.starts_with("default:"))
}

/// A replica of SQL Server has its source's.
fn may_choose_options(old: &DbInstance) -> bool {
    !old.engine().is_some_and(|engine| engine.starts_with("sqlserver"))
}

/// The parameter group that people chose.
fn parameter_group(of: &DbInstance) -> Option<&str> {
    let groups = of.db_parameter_groups().iter().filter_map(|g| g.db_parameter_group_name());
    groups.into_iter().find(|name| !name.starts_with("default."))
}

impl RdsDriver {
    /// Gives the replica that follows the parameter group of the old instance. Nothing that this run did not rename is asked.
    pub(super) async fn take_group(&self, region: &Region, kept: &str, context: &Context) -> Result<Turn, Failure> {
        let name = &self.place(region)?.instance;
        let Some(old) = self.raw(region, kept).await? else { return Ok(Turn::Over) };
        let Some(new) = self.raw(region, name).await? else { return Ok(Turn::GoesOn) };
        let Some(wanted) = parameter_group(&old) else { return Ok(Turn::Over) };
        if parameter_group(&new) == Some(wanted) {
            return Ok(Turn::Over);
        }
        let client = self.rds(region).await?;
        let send = || {
            let call = client.modify_db_instance().db_instance_identifier(name).apply_immediately(true);
            call.db_parameter_group_name(wanted).send()
        };
        let call = self.call(region, "ModifyDBInstance");
        let asked = self.access.change(call, context.deadline / 10, send).await;
        Ok(asked.map_or_else(|refused| goes_on_or(&refused), |_| Turn::GoesOn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::{DbInstanceRole, DomainMembership, OptionGroupMembership};

    #[test]
    fn what_no_call_gives_is_named() {
        let options = OptionGroupMembership::builder().option_group_name("people-audit").build();
        let own = |engine: &str| DbInstance::builder().engine(engine).option_group_memberships(options.clone());
        assert_eq!(left_out(&own("mysql").build()), Vec::<String>::new());
        let role = DbInstanceRole::builder().role_arn("arn:aws:iam::1:role/export").build();
        let domain = DomainMembership::builder().domain("d-1").build();
        let more = own("sqlserver-se").associated_roles(role).domain_memberships(domain).build();
        let wanted = ["the role arn:aws:iam::1:role/export", "the directory d-1", "the option group people-audit"];
        assert_eq!(left_out(&more), wanted);
        assert_eq!(left_out(&DbInstance::builder().build()), Vec::<String>::new());
    }
}

//! A replica becomes the writer; a new replica is made where the old writer was.

use super::like::like;
use super::look::backups;
use super::stop::busy;
use super::turn::Turn;
use super::{Asked, Handle, RdsDriver};
use crate::words::instance::Instance;
use aws_sdk_rds::types::DbInstance;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::plan::aws::SnapshotBefore;
use pilotlight_driver::Context;

/// Clocks of two machines may differ by so much and still be called right, in milliseconds.
const CLOCKS: u64 = 1_000;

impl RdsDriver {
    /// Waits until CloudWatch says that the copy holds everything from before the moment.
    pub(super) async fn reach(&self, region: &Region, moment: u64) -> Result<Outcome, Failure> {
        let (component, seen) = (&self.component, self.must(region).await?);
        if !matches!(self.role_of(region, Some(&seen)).role, Some(Role::Standby { streaming: true, .. })) {
            return Err(Failure::transient(format!(
                "{component} in {region} does not replicate now ({})",
                seen.status
            )));
        }
        let reached = self.lag(region, true).await?.and_then(|v| v.reached());
        Ok(match reached {
            Some(at) if at >= moment + CLOCKS => {
                Outcome::done_with(format!("{component} in {region} holds everything from before the stop"))
            }
            _ => Handle::Reach { region: region.clone(), moment }.accepted(),
        })
    }

    /// `behind` is the snapshot that is made before it.
    pub(super) async fn promote(
        &self,
        region: &Region,
        behind: Option<String>,
        asked: Asked,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let (component, seen) = (&self.component, self.must(region).await?);
        let going_on = |asked| Handle::Promote { region: region.clone(), asked }.accepted();
        let role = self.role_of(region, Some(&seen)).role;
        match (&seen.source, role) {
            (None, Some(Role::Writer)) if seen.serves() && asked != Asked::Now => {
                Ok(Outcome::done_with(format!("{component} in {region} stands alone and takes writes")))
            }
            (None, Some(Role::Writer)) if seen.serves() => {
                Ok(Outcome::Skipped { why: format!("{component} in {region} takes writes") })
            }
            (None, Some(Role::Fenced { .. } | Role::Down { .. })) => {
                Err(Failure::rejected(format!("{component} in {region} is no replica any more and is shut"))
                    .hint("it was the writer; let it join again before it can be promoted"))
            }
            (None, _) => Ok(going_on(asked == Asked::Before(true))),
            (Some(_), _) if asked == Asked::Before(true) => Ok(going_on(true)),
            // AWS still names the source while it promotes, and while somebody changes something else.
            (Some(_), _) if seen.status == "modifying" => Ok(match behind {
                Some(id) => Handle::Snapshot { region: region.clone(), id }.accepted(),
                None => going_on(false),
            }),
            (Some(_), _) if !seen.serves() => Err(busy(component.as_str(), region, &seen)),
            (Some(_), _) if behind.is_some() => {
                Box::pin(self.promote_behind(region, &behind.unwrap_or_default(), context)).await
            }
            (Some(_), _) => self.ask_to_promote(region, &seen, context).await.map(|()| going_on(true)),
        }
    }

    async fn ask_to_promote(&self, region: &Region, seen: &Instance, context: &Context) -> Result<(), Failure> {
        let (client, name) = (self.rds(region).await?, &self.place(region)?.instance);
        let send = || {
            let call = client.promote_read_replica().db_instance_identifier(name);
            call.set_backup_retention_period(seen.backups.as_writer()).send()
        };
        let call = self.call(region, "PromoteReadReplica");
        self.access.change(call, context.deadline / 10, send).await.map(|_| ()).map_err(|r| r.failure())
    }

    /// One step further: rename the old instance, make a replica under its name, wait until it follows.
    pub(super) async fn rejoin(
        &self,
        region: &Region,
        upstream: &Region,
        kept: &str,
        again: bool,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let component = &self.component;
        let name = &self.place(region)?.instance;
        let handle = || Handle::Rejoin { region: region.clone(), upstream: upstream.clone(), kept: kept.to_owned() };
        let Some(seen) = self.look(region).await? else {
            return self.recreate(region, upstream, kept, context).await.map(|()| handle().accepted());
        };
        match self.role_of(region, Some(&seen)).role {
            Some(Role::Standby { upstream: Some(of), streaming }) if of == *upstream => {
                if !streaming {
                    return Ok(handle().accepted());
                }
                let follows = format!("{component} in {region} follows {upstream}");
                let (text, is_over) = match again {
                    true => (
                        format!("{follows}; the old instance is kept as {kept}"),
                        Outcome::done_with as fn(String) -> _,
                    ),
                    false => (follows, (|why| Outcome::Skipped { why }) as fn(String) -> _),
                };
                let group = Box::pin(self.take_group(region, kept, context)).await?;
                let backups = match group {
                    Turn::GoesOn => Turn::GoesOn,
                    Turn::Over | Turn::Not(_) => Box::pin(self.turn_backups(region, upstream, kept, context)).await?,
                };
                let mut lacks = Vec::new();
                for (what, turn) in
                    [("its parameters are not the old one's", group), ("its backups do not follow", backups)]
                {
                    match turn {
                        Turn::Over => {}
                        Turn::GoesOn => return Ok(handle().accepted()),
                        Turn::Not(why) => lacks.push(format!("{what}: {why}")),
                    }
                }
                if lacks.is_empty() {
                    return Ok(is_over(text));
                }
                let warning = format!("{text}, but {}", lacks.join("; "));
                Ok(Outcome::Warned { output: Output { text, ..Output::default() }, warning })
            }
            Some(Role::Fenced { .. } | Role::Standby { .. }) => {
                self.is_writer(upstream).await?;
                if kept.len() > 63 {
                    return Err(Failure::rejected(format!("{kept} is longer than AWS takes")));
                }
                if self.plan.snapshot != SnapshotBefore::Nothing && !self.snapshot(region, kept, context).await? {
                    return Ok(handle().accepted());
                }
                if seen.status == "backing-up" {
                    return Ok(handle().accepted());
                }
                let client = self.rds(region).await?;
                let send = || {
                    let call = client.modify_db_instance().db_instance_identifier(name).apply_immediately(true);
                    call.new_db_instance_identifier(kept).send()
                };
                let call = self.call(region, "ModifyDBInstance");
                self.access.change(call, context.deadline / 10, send).await.map_err(|r| r.failure())?;
                Ok(handle().accepted())
            }
            // The renaming shows its own states.
            _ if again => Ok(handle().accepted()),
            Some(Role::Writer) => {
                Err(Failure::rejected(format!("{component} in {region} takes writes; it is fenced first")))
            }
            _ => Err(busy(component.as_str(), region, &seen)),
        }
    }

    async fn is_writer(&self, upstream: &Region) -> Result<(DbInstance, Instance), Failure> {
        let seen = self.must(upstream).await?;
        if self.role_of(upstream, Some(&seen)).role != Some(Role::Writer) {
            return Err(Failure::rejected(format!("{} in {upstream} is not the writer", self.component)));
        }
        let raw = self.raw(upstream, &self.place(upstream)?.instance).await?;
        raw.map(|raw| (raw, seen)).ok_or_else(|| Failure::transient(format!("{upstream} lost its instance")))
    }

    /// The name is free: the renamed instance says what the new replica is to be like.
    async fn recreate(&self, region: &Region, upstream: &Region, kept: &str, context: &Context) -> Result<(), Failure> {
        let (component, place) = (&self.component, self.place(region)?);
        let Some(old) = self.raw(region, kept).await? else {
            return Err(Failure::rejected(format!("{component} in {region} is gone: there is no {}", place.instance))
                .hint("make a read replica of that name by hand; nothing says what it was like"));
        };
        let (_, source) = self.is_writer(upstream).await?;
        let groups = match place.open_groups.is_empty() {
            true => {
                old.vpc_security_groups().iter().filter_map(|g| g.vpc_security_group_id()).map(str::to_owned).collect()
            }
            false => place.open_groups.clone(),
        };
        let client = self.rds(region).await?;
        let send = || {
            let call = client.create_db_instance_read_replica().db_instance_identifier(&place.instance);
            let call = call.source_db_instance_identifier(&source.arn).set_vpc_security_group_ids(Some(groups.clone()));
            let call = like(call, &old, source.gigabytes, backups(&old).as_writer());
            call.set_port(old.endpoint().and_then(|e| e.port())).deletion_protection(true).send()
        };
        let call = self.call(region, "CreateDBInstanceReadReplica");
        self.access.change(call, context.deadline / 10, send).await.map(|_| ()).map_err(|r| r.failure())
    }
}

//! Shutting clients out and letting them in again.

use super::{Handle, RdsDriver};
use crate::call::SHOWS_WITHIN;
use crate::marks::Marks;
use crate::words::instance::{Instance, Reboot};
use crate::words::silence::{Next, Runs, Silencing};
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_driver::Context;

impl RdsDriver {
    /// One step further: close, reboot, note the moment. Done when the moment is noted.
    pub(super) async fn stop(&self, region: &Region, context: &Context) -> Result<Outcome, Failure> {
        let component = &self.component;
        let (seen, closed) = (self.must(region).await?, self.closed(region));
        let going_on = Handle::Stop { region: region.clone() }.accepted();
        if seen.source.is_some() {
            return Ok(Outcome::Skipped {
                why: format!("{component} in {region} is a replica and acknowledges nothing"),
            });
        }
        if closed.is_empty() {
            return Err(Failure::rejected(format!("nothing can stop the writes of {component} in {region}"))
                .hint("give the instance `closed_groups` and `open_groups`; `pilotlight explain PL-0376` says why"));
        }
        if seen.is_fenced(&closed) {
            let text = format!("clients of {component} in {region} are shut out and their sessions were ended");
            let position = seen.stopped_at.map(|at| self.position(at));
            let assurance = Some(FenceAssurance::ConnectionsCut);
            return Ok(Outcome::Done { output: Output { position, assurance, text, ..Output::default() } });
        }
        let rests = seen.serves() || seen.is_stopped();
        let silencing = Silencing {
            closed: seen.groups == closed,
            settled: seen.groups_settled,
            rests,
            runs: match seen.is_stopped() {
                true => Runs::Stopped,
                false if rests => Runs::All,
                false => Runs::None,
            },
            reboot: seen.reboot,
        };
        let now = self.access.clock().wall();
        match silencing.next(now, SHOWS_WITHIN) {
            Next::Busy => return Err(busy(component.as_str(), region, &seen)),
            Next::Close => {
                self.unmark(region, &seen, context).await?;
                self.regroup(region, closed.into_iter().collect(), context).await?;
            }
            Next::Wait => {}
            Next::Reboot => {
                let (client, name) = (self.rds(region).await?, &self.place(region)?.instance);
                let send = || client.reboot_db_instance().db_instance_identifier(name).send();
                let call = self.call(region, "RebootDBInstance");
                self.access.change(call, context.deadline / 4, send).await.map_err(|r| r.failure())?;
                let asked = Reboot::Asked(self.access.clock().wall());
                self.marks(region, &seen, context).await?.reboot(asked).await?;
            }
            Next::SeenDown => {
                // Where it takes no tag now, the time since says the same later.
                let marked = self.marks(region, &seen, context).await?.reboot(Reboot::Seen).await;
                marked.unwrap_or_else(|f| tracing::debug!("{component} in {region} is down and takes no tag: {f}"));
            }
            Next::Note => self.marks(region, &seen, context).await?.stopped().await?,
        }
        Ok(going_on)
    }

    /// Takes a stop back, unless another instance was promoted meanwhile.
    pub(super) async fn resume_writes(&self, region: &Region, context: &Context) -> Result<Outcome, Failure> {
        let seen = self.raw(region, &self.place(region)?.instance).await?;
        let replicas = seen.as_ref().map(|s| s.read_replica_db_instance_identifiers()).unwrap_or_default();
        let others = self.plan.regions.iter().filter(|(r, _)| *r != region);
        let lost = others.filter(|(_, i)| !replicas.iter().any(|arn| arn.rsplit(':').next() == Some(&i.instance)));
        if let Some((other, _)) = lost.into_iter().next() {
            return Err(Failure::rejected(format!("{} in {other} follows {region} no more", self.component))
                .hint("it may have been promoted; `pilotlight status` shows who writes"));
        }
        self.open(region, context).await
    }

    pub(super) async fn open(&self, region: &Region, context: &Context) -> Result<Outcome, Failure> {
        let (component, seen) = (&self.component, self.must(region).await?);
        let open = self.place(region)?.open_groups.clone();
        if self.closed(region).is_empty()
            || (!seen.is_closed(&self.closed(region)) && seen.groups_settled && seen.serves())
        {
            return match seen.stopped_at {
                None => Ok(Outcome::Skipped { why: format!("clients reach {component} in {region}") }),
                Some(_) => {
                    self.unmark(region, &seen, context).await?;
                    Ok(Outcome::done_with(format!("clients reach {component} in {region} again")))
                }
            };
        }
        if seen.groups == self.closed(region) {
            if !seen.serves() {
                return Err(busy(component.as_str(), region, &seen));
            }
            self.regroup(region, open, context).await?;
        }
        Ok(Handle::Open { region: region.clone() }.accepted())
    }

    pub(super) async fn regroup(&self, region: &Region, groups: Vec<String>, context: &Context) -> Result<(), Failure> {
        let (client, name) = (self.rds(region).await?, &self.place(region)?.instance);
        let send = || {
            let call = client.modify_db_instance().db_instance_identifier(name).apply_immediately(true);
            call.set_vpc_security_group_ids(Some(groups.clone())).send()
        };
        let call = self.call(region, "ModifyDBInstance");
        self.access.change(call, context.deadline / 4, send).await.map(|_| ()).map_err(|r| r.failure())
    }

    async fn marks<'a>(
        &'a self,
        region: &'a Region,
        seen: &'a Instance,
        context: &Context,
    ) -> Result<Marks<'a>, Failure> {
        let (client, time) = (self.rds(region).await?, context.deadline / 4);
        Ok(Marks { access: &self.access, client, region: self.access.name(region), arn: &seen.arn, time })
    }

    async fn unmark(&self, region: &Region, seen: &Instance, context: &Context) -> Result<(), Failure> {
        match seen.reboot.is_none() && seen.stopped_at.is_none() {
            true => Ok(()),
            false => self.marks(region, seen, context).await?.clear().await,
        }
    }
}

pub(super) fn busy(component: &str, region: &Region, seen: &Instance) -> Failure {
    Failure::transient(format!("{component} in {region} is {}", seen.status))
}

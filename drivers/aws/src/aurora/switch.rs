//! Moving the writer: the call, its refusals, and following it to its end.

use super::AuroraDriver;
use super::look::Seen;
use crate::access::Access;
use crate::call::{Refused, SHOWS_WITHIN};
use crate::detach::{Detachable, LastWay, Move, Part, in_doubt, last_way, stands_alone};
use crate::finding::MOVED_BY_HAND;
use crate::words::cluster::{Global, region_of};
use crate::words::refusal::Said;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::time::Wall;
use pilotlight_driver::Context;
use serde::{Deserialize, Serialize};

/// Work that AWS has accepted: all that is needed to look after it, in any process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "aurora", rename_all = "kebab-case")]
pub(super) enum Handle {
    Switch {
        from: Region,
        to: Region,
        allow_loss: bool,
        since: Wall,
    },
    /// AWS failed after it was asked: the move may come, and only if it does not the copy is taken out.
    Doubt {
        from: Region,
        to: Region,
        why: String,
        since: Wall,
    },
    /// A planned move waits for that snapshot of the writer's cluster.
    Snapshot {
        from: Region,
        to: Region,
        id: String,
    },
    Detach {
        to: Region,
        why: String,
    },
    Fence {
        region: Region,
    },
    /// The epoch is in the names of what is kept.
    Rejoin {
        region: Region,
        upstream: Region,
        #[serde(default)]
        epoch: u64,
    },
}

impl Handle {
    pub(super) fn accepted(&self) -> Outcome {
        Outcome::Accepted { handle: serde_json::to_string(self).expect("a handle is names and times") }
    }
}

impl AuroraDriver {
    /// `snapshot` is one that was begun for this move.
    pub(super) async fn switch(
        &self,
        wanted: &Move<'_>,
        snapshot: Option<String>,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let Move { from, to, allow_loss, .. } = *wanted;
        let seen = self.look(to).await?;
        if seen.is_writer(self) {
            return Ok(Outcome::Skipped { why: format!("{} in {to} is the writer", self.component) });
        }
        if !seen.is_member() && seen.copy.status.as_deref() == Some("promoting") {
            let why = "it is being promoted alone".to_owned();
            if !wanted.may_detach() {
                return Err(wanted.not_detached(Failure::rejected(format!("{} in {to}: {why}", self.component))));
            }
            return Ok(Handle::Detach { to: to.clone(), why }.accepted());
        }
        let since = self.access.clock().wall();
        let handle = Handle::Switch { from: from.clone(), to: to.clone(), allow_loss, since };
        if self.moves_already(&seen, from, to)? {
            return Ok(handle.accepted());
        }
        let kept = self.kept_first(wanted, snapshot, context);
        let waits = |id| Handle::Snapshot { from: from.clone(), to: to.clone(), id }.accepted();
        if let Some(id) = &kept
            && !self.is_kept(from, id, context).await?
        {
            return Ok(waits(id.clone()));
        }
        let arn = seen.arn().unwrap_or_default().to_owned();
        match (self.ask(wanted, &arn, context).await, kept) {
            (Ok(()), _) => Ok(handle.accepted()),
            // The cluster may rest a moment after its snapshot.
            (Err(refused), Some(id)) if refused.said == Said::Busy => Ok(waits(id)),
            (Err(refused), _) => Ok(match last_way(self, wanted, &refused, context).await? {
                LastWay::Whole => handle.accepted(),
                LastWay::Doubt { why, since } => {
                    Handle::Doubt { from: from.clone(), to: to.clone(), why, since }.accepted()
                }
                LastWay::Detach { why } => Handle::Detach { to: to.clone(), why }.accepted(),
            }),
        }
    }

    async fn ask(&self, wanted: &Move<'_>, arn: &str, context: &Context) -> Result<(), Refused> {
        let Move { from, to, allow_loss, .. } = *wanted;
        let name = &self.plan.global_cluster;
        // The whole deadline is for following it; asking gets a tenth.
        let time = context.deadline / 10;
        if allow_loss {
            let client = self.client(to).await;
            let send = || {
                let call = client.failover_global_cluster().global_cluster_identifier(name);
                call.target_db_cluster_identifier(arn).allow_data_loss(true).send()
            };
            let call = self.call(to, "FailoverGlobalCluster");
            match self.plan.may_detach && wanted.may_detach() {
                true => self.access.insist(call, time / 3, send).await.map(|_| ()),
                false => self.access.change(call, time, send).await.map(|_| ()),
            }
        } else {
            let client = self.client(from).await;
            let send = || {
                let call = client.switchover_global_cluster().global_cluster_identifier(name);
                call.target_db_cluster_identifier(arn).send()
            };
            self.access.change(self.call(from, "SwitchoverGlobalCluster"), time, send).await.map(|_| ())
        }
    }

    pub(super) async fn client(&self, region: &Region) -> aws_sdk_rds::Client {
        self.rds(region).await.expect("a configuration is made without a call")
    }

    /// Looks after accepted work.
    pub(super) async fn take_up(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let read: Handle =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        let again = Outcome::Accepted { handle: handle.to_owned() };
        match read {
            Handle::Switch { from, to, allow_loss, since } => {
                let seen = self.look(&to).await?;
                self.switched(&seen, &from, &to, allow_loss, since).map(|done| done.unwrap_or(again))
            }
            Handle::Doubt { from, to, why, since } => {
                in_doubt(self, (&from, &to), &why, since, context).await.map(|done| done.unwrap_or(again))
            }
            Handle::Snapshot { from, to, id } => self.switch(&Move::planned(&from, &to), Some(id), context).await,
            Handle::Detach { to, why } => {
                let seen = self.look(&to).await?;
                Ok(if seen.is_writer(self) { self.detached(&to, &why) } else { again })
            }
            Handle::Fence { region } => self.fence(&region, context).await,
            Handle::Rejoin { region, upstream, epoch } => self.rejoin(&region, &upstream, Some(epoch), context).await,
        }
    }

    /// `None` while it goes on. An end that is known is refused: what may be asked after again is not over.
    fn switched(
        &self,
        seen: &Seen,
        from: &Region,
        to: &Region,
        allow_loss: bool,
        since: Wall,
    ) -> Result<Option<Outcome>, Failure> {
        let component = &self.component;
        if seen.is_writer(self) {
            return Ok(Some(self.moved(from, to, allow_loss)));
        }
        let moving = seen.global.as_ref().and_then(|g| g.moving.as_ref());
        let settled = seen.global.as_ref().is_some_and(|g| g.status == "available");
        let shown = self.access.clock().wall().since(since) > SHOWS_WITHIN;
        match moving {
            Some(moving) if moving.status == "cancelling" => {
                Err(Failure::rejected(format!("AWS cancels the move of {component} to {to}; {from} stays the writer"))
                    .hint("look at the events of the global cluster for the reason"))
            }
            None if settled && shown => {
                Err(Failure::rejected(format!("the move of {component} to {to} ended and {from} is still the writer"))
                    .hint("look at the events of the global cluster for the reason"))
            }
            _ => Ok(None),
        }
    }
}

impl Detachable for AuroraDriver {
    type Seen = Seen;

    fn access(&self) -> &Access {
        &self.access
    }

    fn may_detach(&self) -> bool {
        self.plan.may_detach
    }

    async fn seen(&self, region: &Region) -> Result<Seen, Failure> {
        self.look(region).await
    }

    fn part(&self, seen: &Seen) -> Part {
        let is_writer = seen.is_writer(self);
        match seen.is_member() {
            true => Part::Member { is_writer, moves: seen.global.as_ref().is_some_and(Global::is_moving) },
            false => Part::Alone { is_writer },
        }
    }

    fn moves_already(&self, seen: &Seen, from: &Region, to: &Region) -> Result<bool, Failure> {
        let (component, name) = (&self.component, &self.plan.global_cluster);
        let Some(global) = &seen.global else {
            return Err(Failure::rejected(format!("{to} knows no global cluster {name}"))
                .hint("compare `global_cluster` in the plan with the account"));
        };
        let Some(arn) = seen.arn().filter(|arn| global.member(arn).is_some()) else {
            return Err(Failure::rejected(format!("{component} in {to} is not a member of global cluster {name}"))
                .hint("it was removed, or never added; docs/aws.md shows how a member is added"));
        };
        if let Some(moving) = &global.moving {
            if global.moves_to(arn) && moving.status != "cancelling" {
                return Ok(true);
            }
            let place = moving.to.as_deref().and_then(region_of).unwrap_or("another region");
            return Err(Failure::transient(format!("global cluster {name} is {} to {place}", moving.status)));
        }
        let writer = global.writer().and_then(|w| region_of(&w.arn));
        if writer.is_some_and(|w| w != self.access.name(from)) {
            let writer = writer.unwrap_or_default();
            return Err(
                Failure::rejected(format!("the writer of {name} is in {writer}, not in {from}")).hint(MOVED_BY_HAND)
            );
        }
        Ok(false)
    }

    async fn take_out(&self, to: &Region, seen: &Seen, why: &str, context: &Context) -> Result<(), Refused> {
        let (client, arn) = (self.client(to).await, seen.arn().unwrap_or_default());
        let name = &self.plan.global_cluster;
        let send =
            || client.remove_from_global_cluster().global_cluster_identifier(name).db_cluster_identifier(arn).send();
        let call = self.call(to, "RemoveFromGlobalCluster");
        tracing::warn!(component = %self.component, region = %to, "detaching and promoting alone: {why}");
        self.access.change(call, context.deadline / 10, send).await.map(|_| ())
    }

    fn moved(&self, from: &Region, to: &Region, allow_loss: bool) -> Outcome {
        let how = if allow_loss { "AWS fences the old writer when it reaches it" } else { "nothing was lost" };
        let text = format!("{}: AWS moved the writer from {from} to {to}; {how}", self.component);
        let output = Output { assurance: Some(FenceAssurance::ProviderAttested), text, ..Output::default() };
        Outcome::Done { output }
    }

    fn detached(&self, to: &Region, why: &str) -> Outcome {
        let (component, name) = (&self.component, &self.plan.global_cluster);
        let warning = format!(
            "{component} in {to} was taken out of global cluster {name} and promoted alone, because {why}; nothing stops \
             the old writer: stop it by hand before users reach it"
        );
        stands_alone(component, to, warning)
    }
}

#[cfg(test)]
mod tests;

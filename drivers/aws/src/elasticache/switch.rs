//! Making another region's group the primary: the call, its refusals, and following it to its end.

use super::ElastiCacheDriver;
use super::look::Seen;
use crate::access::Access;
use crate::call::{Refused, SHOWS_WITHIN};
use crate::detach::{Detachable, LastWay, Move, Part, in_doubt, last_way, stands_alone};
use crate::finding::MOVED_BY_HAND;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::time::Wall;
use pilotlight_driver::Context;
use serde::{Deserialize, Serialize};

/// A planned move waits until the copy is at most so many seconds behind.
const CLOSE: f64 = 2.0;

/// Work that goes on: what its end looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "elasticache", rename_all = "kebab-case")]
pub(super) enum Handle {
    /// Not asked for yet: the copy is too far behind.
    Near {
        from: Region,
        to: Region,
    },
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
    Detach {
        to: Region,
        why: String,
    },
    Rejoin {
        region: Region,
        upstream: Region,
    },
}

impl Handle {
    pub(super) fn rejoin(region: &Region, upstream: &Region) -> Self {
        Handle::Rejoin { region: region.clone(), upstream: upstream.clone() }
    }

    pub(super) fn accepted(&self) -> Outcome {
        Outcome::Accepted { handle: serde_json::to_string(self).expect("a handle is names and times") }
    }
}

impl ElastiCacheDriver {
    pub(super) async fn switch(&self, wanted: &Move<'_>, context: &Context) -> Result<Outcome, Failure> {
        let Move { from, to, allow_loss, .. } = *wanted;
        let (component, seen) = (&self.component, self.look(to).await?);
        if seen.is_writer(self.state(&seen).role.as_ref()) {
            return Ok(Outcome::Skipped { why: format!("{component} in {to} is the primary") });
        }
        let since = self.access.clock().wall();
        let handle = Handle::Switch { from: from.clone(), to: to.clone(), allow_loss, since };
        if self.moves_already(&seen, from, to)? {
            return Ok(handle.accepted());
        }
        if !allow_loss {
            // A planned move is for a primary that lives; its own region says so.
            self.look(from).await?;
            let near = self.lag(to, &seen, true).await?.is_some_and(|lag| lag.value <= CLOSE);
            if !near {
                return Ok(Handle::Near { from: from.clone(), to: to.clone() }.accepted());
            }
        }
        let (client, name, group) = (self.client(to).await?, &self.plan.global_datastore, self.group(to)?);
        let send = || {
            let call = client.failover_global_replication_group().global_replication_group_id(name);
            call.primary_region(self.access.name(to)).primary_replication_group_id(group).send()
        };
        let call = self.call(to, "FailoverGlobalReplicationGroup");
        let asked = match self.plan.may_detach && wanted.may_detach() {
            true => self.access.insist(call, context.deadline / 30, send).await,
            false => self.access.change(call, context.deadline / 10, send).await,
        };
        match asked {
            Ok(_) => Ok(handle.accepted()),
            Err(refused) => Ok(match last_way(self, wanted, &refused, context).await? {
                LastWay::Whole => handle.accepted(),
                LastWay::Doubt { why, since } => {
                    Handle::Doubt { from: from.clone(), to: to.clone(), why, since }.accepted()
                }
                LastWay::Detach { why } => Handle::Detach { to: to.clone(), why }.accepted(),
            }),
        }
    }

    /// Looks after accepted work.
    pub(super) async fn take_up(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let read: Handle =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        let (component, again) = (&self.component, Outcome::Accepted { handle: handle.to_owned() });
        match read {
            Handle::Near { from, to } => match self.switch(&Move::planned(&from, &to), context).await? {
                // The journal keeps the first handle, so the end is told under it too.
                Outcome::Accepted { .. } => Ok(again),
                Outcome::Skipped { .. } => Ok(self.moved(&from, &to, false)),
                over => Ok(over),
            },
            Handle::Switch { from, to, allow_loss, since } => {
                let seen = self.look(&to).await?;
                let role = self.state(&seen).role;
                if seen.is_writer(role.as_ref()) {
                    return Ok(self.moved(&from, &to, allow_loss));
                }
                self.may_still_come(&seen, &to, since).map(|()| again)
            }
            Handle::Doubt { from, to, why, since } => {
                in_doubt(self, (&from, &to), &why, since, context).await.map(|done| done.unwrap_or(again))
            }
            Handle::Detach { to, why } => {
                let seen = self.look(&to).await?;
                let alone = seen.member().is_none() && self.state(&seen).role == Some(Role::Writer);
                Ok(if alone { self.detached(&to, &why) } else { again })
            }
            Handle::Rejoin { region, upstream } => {
                let seen = self.look(&region).await?;
                let follows = Some(Role::Standby { upstream: Some(upstream.clone()), streaming: true });
                let text = format!("{component} in {region} follows {upstream}");
                Ok(if self.state(&seen).role == follows { Outcome::done_with(text) } else { again })
            }
        }
    }

    /// An end that is known is refused: what may be asked after again is not over.
    fn may_still_come(&self, seen: &Seen, to: &Region, since: Wall) -> Result<(), Failure> {
        let settled = seen.datastore.as_ref().is_some_and(|d| d.is_settled());
        match settled && self.access.clock().wall().since(since) > SHOWS_WITHIN {
            true => Err(Failure::rejected(format!("the move of {} to {to} ended without effect", self.component))
                .hint("look at the events of the replication groups for the reason")),
            false => Ok(()),
        }
    }
}

impl Detachable for ElastiCacheDriver {
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
        let role = self.state(seen).role;
        match seen.member() {
            // AWS does not say more of a move than `moves_already` reads.
            Some(_) => Part::Member { is_writer: seen.is_writer(role.as_ref()), moves: false },
            None => Part::Alone { is_writer: role == Some(Role::Writer) },
        }
    }

    fn moves_already(&self, seen: &Seen, from: &Region, to: &Region) -> Result<bool, Failure> {
        let (component, name) = (&self.component, &self.plan.global_datastore);
        let Some(datastore) = &seen.datastore else {
            return Err(Failure::rejected(format!("{to} knows no global datastore {name}"))
                .hint("compare `global_datastore` in the plan with the account"));
        };
        let Some(member) = seen.member() else {
            return Err(Failure::rejected(format!("{component} in {to} is not a member of global datastore {name}")));
        };
        if !datastore.is_settled() {
            // AWS does not say where it moves to; only the target's group changes its part.
            return match member.is_primary || member.status != "associated" {
                true => Ok(true),
                false => Err(Failure::transient(format!("global datastore {name} is {}", datastore.status))),
            };
        }
        match datastore.primary() {
            Some(primary) if primary.region != self.access.name(from) => {
                let message = format!("the primary of {name} is in {}, not in {from}", primary.region);
                Err(Failure::rejected(message).hint(MOVED_BY_HAND))
            }
            _ => Ok(false),
        }
    }

    async fn take_out(&self, to: &Region, _: &Seen, why: &str, context: &Context) -> Result<(), Refused> {
        let client = self.client(to).await.expect("a configuration is made without a call");
        let (name, group) = (&self.plan.global_datastore, &self.plan.regions[to].group);
        let send = || {
            let call = client.disassociate_global_replication_group().global_replication_group_id(name);
            call.replication_group_id(group).replication_group_region(self.access.name(to)).send()
        };
        let call = self.call(to, "DisassociateGlobalReplicationGroup");
        tracing::warn!(component = %self.component, region = %to, "taking it out of the datastore: {why}");
        self.access.change(call, context.deadline / 10, send).await.map(|_| ())
    }

    fn moved(&self, from: &Region, to: &Region, allow_loss: bool) -> Outcome {
        let how = if allow_loss { "AWS makes the old one follow when it reaches it" } else { "the old one follows" };
        let text = format!(
            "{}: AWS made {to} the primary in place of {from}; {how}; what was written in the last moment may be gone",
            self.component
        );
        let output = Output { assurance: Some(FenceAssurance::ProviderAttested), text, ..Output::default() };
        Outcome::Done { output }
    }

    fn detached(&self, to: &Region, why: &str) -> Outcome {
        let (component, name) = (&self.component, &self.plan.global_datastore);
        let warning = format!(
            "{component} in {to} was taken out of global datastore {name}, because {why}; nothing stops the old primary"
        );
        stands_alone(component, to, warning)
    }
}

#[cfg(test)]
mod tests;

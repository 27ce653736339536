//! Why no runbook leads to a target: a type, with a code that `pilotlight explain` knows.

use crate::effect::{Capability, FenceAssurance};
use crate::id::{Component, Region, Unit};
use crate::placement::Verb;

/// Where a driver lacks what every one of its kind has to be able to do.
pub(super) const CHECK_KIND: &str = "check the component's `kind` in the plan";

/// A derivation that was refused. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// PL-0201
    #[error("{region} is the writer of {unit} already; nothing to move")]
    AlreadyThere { unit: Unit, region: Region, verb: Verb },
    /// PL-0202
    #[error("the plan names no region {region}; it names {known}")]
    UnknownRegion { region: Region, known: String },
    /// PL-0203
    #[error("{component} has no place in {region}, so {region} cannot take over")]
    NoPlace { component: Component, region: Region },
    /// PL-0204
    #[error("a planned move needs the source, and {region} does not answer; a failover goes without it")]
    SourceSilent { region: Region },
    /// PL-0205
    #[error("a planned move starts from a working writer, and {component} in {region} {says}")]
    SourceNotWriter { component: Component, region: Region, says: String },
    /// PL-0206
    #[error("{region} does not answer, so nothing can be moved there")]
    TargetSilent { region: Region },
    /// PL-0207
    #[error("only a standby can take over, and {component} in {region} {says}")]
    TargetNotStandby { component: Component, region: Region, says: String },
    /// PL-0208
    #[error("{component} in {region} receives no changes, so a planned move would wait for ever or lose some")]
    TargetNotStreaming { component: Component, region: Region },
    /// PL-0938
    #[error("{component} in {region} receives no changes, so users that are led there would read what is old")]
    ReturnsStale { component: Component, region: Region },
    /// PL-0209
    #[error(
        "the best fence that is possible for {component} is `{possible}`, the policy asks for `{least}` before anything \
         is promoted without a person"
    )]
    FenceTooWeak { component: Component, possible: FenceAssurance, least: FenceAssurance },
    /// PL-0210
    #[error("{unit} holds no replicated data, so it has no writer that could move")]
    NothingToMove { unit: Unit },
    /// PL-0211
    #[error("no driver is there for {component}")]
    NoDriver { component: Component },
    /// PL-0212
    #[error("{component} in {region} takes writes too, and this move cannot silence it")]
    AnotherWriter { component: Component, region: Region },
    /// PL-0874
    #[error(
        "{component} in {other} was a writer too, and is not known to be the older one: the store that names {region} may be an old copy"
    )]
    MayBeNewer { component: Component, region: Region, other: Region },
    /// PL-0213
    #[error("no region has to rejoin: each one that answers follows {writer}")]
    NothingToRejoin { writer: Region },
    /// PL-0214
    #[error("the target gives no region any traffic; at least one share must be above zero")]
    NoTraffic,
    /// PL-0215
    #[error("the driver of {component} cannot do `{capability:?}`, which this move needs")]
    Incapable { component: Component, capability: Capability, hint: &'static str },
    /// PL-0216
    #[error("the command {component} runs in {region}, which does not answer; a planned move does not go without it")]
    HookSilent { component: Component, region: Region },
    /// PL-0217
    #[error("a rejoin moves no writer: it is in {writer} and stays there, and {region} was named")]
    RejoinElsewhere { writer: Region, region: Region },
    /// PL-0231
    #[error(
        "{region} is no candidate of {unit} in the store: the writer did not wait for it, and the best fence that is \
         possible is `{possible}`"
    )]
    NotAdmitted { unit: Unit, region: Region, possible: FenceAssurance },
    /// PL-0860
    #[error("only a standby can take over, and {component} in {region} {says}")]
    TargetUnseen { component: Component, region: Region, says: String },
}

impl Refusal {
    /// The code of its page.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::AlreadyThere { .. } => "PL-0201",
            Refusal::UnknownRegion { .. } => "PL-0202",
            Refusal::NoPlace { .. } => "PL-0203",
            Refusal::SourceSilent { .. } => "PL-0204",
            Refusal::SourceNotWriter { .. } => "PL-0205",
            Refusal::TargetSilent { .. } => "PL-0206",
            Refusal::TargetNotStandby { .. } => "PL-0207",
            Refusal::TargetNotStreaming { .. } => "PL-0208",
            Refusal::ReturnsStale { .. } => "PL-0938",
            Refusal::FenceTooWeak { .. } => "PL-0209",
            Refusal::NothingToMove { .. } => "PL-0210",
            Refusal::NoDriver { .. } => "PL-0211",
            Refusal::AnotherWriter { .. } => "PL-0212",
            Refusal::MayBeNewer { .. } => "PL-0874",
            Refusal::NothingToRejoin { .. } => "PL-0213",
            Refusal::NoTraffic => "PL-0214",
            Refusal::Incapable { .. } => "PL-0215",
            Refusal::HookSilent { .. } => "PL-0216",
            Refusal::RejoinElsewhere { .. } => "PL-0217",
            Refusal::NotAdmitted { .. } => "PL-0231",
            Refusal::TargetUnseen { .. } => "PL-0860",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Refusal::AlreadyThere { verb: Verb::Failback, .. } => {
                "the service is at home, so there is nothing to take home; `pilotlight status` shows it"
            }
            Refusal::AlreadyThere { .. } => "choose another region, or look at `pilotlight status`",
            Refusal::UnknownRegion { .. } => "check the spelling against `regions` in the plan",
            Refusal::NoPlace { .. } => "add the region to the component in the plan, or choose another region",
            Refusal::SourceSilent { .. } => "start the agent there, or run `pilotlight failover` if the region is lost",
            Refusal::SourceNotWriter { .. } => "repair the writer first, or run `pilotlight failover`",
            Refusal::TargetSilent { .. } => "start the agent there, or choose another region",
            Refusal::TargetNotStandby { .. } => {
                "make it a standby first with `pilotlight rejoin`; a writer that was given up is started again by a failover to where \
                 it is"
            }
            Refusal::TargetUnseen { .. } => "mend what its agent says of it; `pilotlight status` shows when it is seen",
            Refusal::ReturnsStale { .. } => {
                "let it follow again first, by `pilotlight rejoin` where it does not by itself"
            }
            Refusal::TargetNotStreaming { .. } => "repair its replication first; `pilotlight status` shows its lag",
            Refusal::FenceTooWeak { .. } => {
                "make sure by hand that the old writer is off, then run `pilotlight failover`"
            }
            Refusal::NothingToMove { .. } => "check `unit` of the components in the plan",
            Refusal::NoDriver { .. } => CHECK_KIND,
            Refusal::Incapable { hint, .. } => hint,
            Refusal::AnotherWriter { .. } => {
                "silence it first with `pilotlight rejoin`, or stop it by hand: two writers mean two histories"
            }
            Refusal::MayBeNewer { .. } => {
                "look at both copies before either is started; `pilotlight status` shows what is seen of them"
            }
            Refusal::NothingToRejoin { .. } => "nothing has to be done",
            Refusal::RejoinElsewhere { .. } => {
                "name no region: a rejoin takes in every one that came back; `pilotlight switchover` and `failover` move the writer"
            }
            Refusal::NoTraffic => "name a region with a share above zero",
            Refusal::NotAdmitted { .. } => {
                "start the agent beside the old writer, so that its fence can be proven; `pilotlight explain PL-0231` has more, \
                 also for a writer that you know to be off"
            }
            Refusal::HookSilent { .. } => "start the agent there, or take the command out of the plan",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failback_of_what_is_at_home_says_so() {
        let there = |verb| Refusal::AlreadyThere { unit: "payments".into(), region: "east".into(), verb };
        assert!(there(Verb::Failback).hint().contains("the service is at home"));
        assert!(there(Verb::Switchover).hint().contains("choose another region"));
    }
}

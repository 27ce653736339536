//! Traffic through the built-in DNS authority: publishes shares, and looks at what is published *and* at what is served.
//!
//! Border: it talks to the authority over [`pilotlight_core::protocol::dns`] and asks it as a resolver does; it keeps
//! nothing itself. Epochs are enforced by the authority; wrap it in `driver::guard` for the memory of keys.
//!
//! Invariants:
//! - shares are only said when the control interface and a real query agree;
//! - a put carries the version that was seen just before, so that one that was given up and arrives late changes nothing;
//! - a failure after the put was sent is `OutcomeUnknown`, unless the authority itself said that nothing changed.

mod control;
pub(crate) mod query;

use async_trait::async_trait;
use control::Control;
use pilotlight_core::code;
use pilotlight_core::effect::{Capability, Descriptor, Effect, FenceAssurance, Guard, Pace};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_core::plan::DnsPlan;
use pilotlight_core::protocol::dns::{NameAnswer, NamePut, NameView, PutReply};
use pilotlight_core::time::show_duration;
use pilotlight_driver::{Context, Driver};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Time for one look: the contract asks for an answer within a second or two.
const LOOK: Duration = Duration::from_secs(1);

/// Without an objective to compare with, a longer time to live is worth a note.
const LONG_TTL: Duration = Duration::from_secs(60);

/// The driver of a `kind: dns` component.
pub struct DnsDriver {
    component: Component,
    plan: DnsPlan,
    control: Control,
    rto: Option<Duration>,
}

impl DnsDriver {
    /// For the component, told with `token` through `http`.
    pub fn new(component: Component, plan: DnsPlan, token: String, http: reqwest::Client) -> Self {
        let control = Control::new(&plan, token, http);
        Self { component, plan, control, rto: None }
    }

    /// Lets the preflight compare the time to live with the RTO of the plan.
    #[must_use]
    pub fn with_rto(self, rto: Duration) -> Self {
        Self { rto: Some(rto), ..self }
    }

    /// What the shares mean as answers; refused when users would be led nowhere.
    fn answers(&self, shares: &BTreeMap<Region, u32>) -> Result<Vec<NameAnswer>, Failure> {
        let name = &self.plan.name;
        if shares.values().all(|share| *share == 0) {
            return Err(Failure::rejected(format!("{name} would lead nowhere: no region has a share")));
        }
        let answer = |(region, weight): (&Region, &u32)| match self.plan.answers.get(region) {
            Some(address) => Ok(NameAnswer { region: region.clone(), address: *address, weight: *weight }),
            None => Err(Failure::rejected(format!("{name} has no address for region {region}"))
                .hint(format!("add it under components.{}.answers", self.component))),
        };
        shares.iter().map(answer).collect()
    }

    /// Time to live in whole seconds, as DNS has it; never shorter than the plan says.
    fn ttl_s(&self) -> u32 {
        let ttl = self.plan.ttl;
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    async fn route(&self, shares: &BTreeMap<Region, u32>, context: &Context) -> Result<Outcome, Failure> {
        let answers = self.answers(shares)?;
        let told = async {
            let seen = self.control.get(context.deadline / 2).await?;
            let put = NamePut {
                unit: context.unit.clone(),
                epoch: context.epoch,
                ttl_s: self.ttl_s(),
                answers,
                if_version: Some(seen.map_or(0, |view| view.version)),
            };
            self.control.put(&put, context.deadline / 2).await
        };
        let reply = tokio::select! {
            reply = told => reply?,
            // Where it was interrupted is not known here, so nothing is claimed.
            () = context.cancel.cancelled() => {
                return Err(Failure::unknown(format!("publishing {} was cancelled", self.plan.name)));
            }
        };
        Ok(self.outcome(shares, &reply))
    }

    fn outcome(&self, shares: &BTreeMap<Region, u32>, reply: &PutReply) -> Outcome {
        let name = &self.plan.name;
        let shares: Vec<String> = shares.iter().map(|(region, share)| format!("{region} {share} %")).collect();
        let says = format!("{name} answers {} (version {})", shares.join(", "), reply.version);
        if reply.changed { Outcome::done_with(says) } else { Outcome::Skipped { why: says } }
    }

    /// Asks as a resolver does, for the family of address that is published.
    async fn served(&self, view: &NameView) -> Result<Vec<IpAddr>, String> {
        let wants_v4 = view.answers.iter().any(|a| a.weight > 0 && a.address.is_ipv4());
        query::addresses(self.plan.server, &self.plan.name, wants_v4, LOOK / 2, query::Asked::Authority).await
    }

    fn ttl_finding(&self, view: Option<&NameView>) -> Option<Finding> {
        // What users remember now was published earlier, perhaps with a longer time to live.
        let published = view.map_or(0, |v| v.ttl_s);
        let ttl = Duration::from_secs(self.ttl_s().max(published).into());
        let (severity, than) = match self.rto {
            Some(rto) if ttl >= rto => {
                (Severity::Blocker, format!("as long as the whole RTO of {}", show_duration(rto)))
            }
            Some(rto) if ttl > rto / 2 => {
                (Severity::Warning, format!("more than half of the RTO of {}", show_duration(rto)))
            }
            None if ttl > LONG_TTL => (Severity::Note, format!("longer than {}", show_duration(LONG_TTL))),
            _ => return None,
        };
        let message = format!("users may remember an answer of {} for {}, {than}", self.plan.name, show_duration(ttl));
        let hint = if self.ttl_s() < published {
            "publish the name once with the new ttl, well before it is needed"
        } else {
            "set a shorter ttl"
        };
        Some(finding(code::TTL_TOO_LONG, severity, message, hint))
    }
}

#[async_trait]
impl Driver for DnsDriver {
    fn describe(&self) -> Descriptor {
        Descriptor {
            capabilities: BTreeSet::from([Capability::Traffic]),
            guard: Guard::Enforced,
            fence_assurance: FenceAssurance::None,
            atomic_switch: false,
            told_to_follow: false,
            needs_agent: false,
            pace: Pace::Seconds,
        }
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        if target.component != self.component {
            return Err(Failure::unsupported(format!("{} is not {}", target.component, self.component)));
        }
        let Some(view) = self.control.get(LOOK).await? else {
            let facts = BTreeMap::from([("published".to_owned(), "nothing".to_owned())]);
            return Ok(State { facts, ..State::default() });
        };
        let served = self.served(&view).await;
        let published = |ip: &IpAddr| view.answers.iter().any(|a| a.weight > 0 && a.address == *ip);
        let agree = served.as_ref().is_ok_and(|ips| !ips.is_empty() && ips.iter().all(published));
        let shares: BTreeMap<Region, u32> = view.answers.iter().map(|a| (a.region.clone(), a.weight)).collect();
        let facts = BTreeMap::from([
            ("published".to_owned(), list(view.answers.iter().filter(|a| a.weight > 0).map(|a| a.address))),
            ("served".to_owned(), served.map_or_else(|why| why, |ips| list(ips.into_iter()))),
            ("ttl_s".to_owned(), view.ttl_s.to_string()),
            ("version".to_owned(), view.version.to_string()),
        ]);
        Ok(State { shares: agree.then_some(shares), epoch: Some(view.epoch), facts, ..State::default() })
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let Effect::Route { shares, .. } = effect else { return Err(unsupported(effect)) };
        let mut findings = Vec::new();
        if let Err(failure) = self.answers(shares) {
            let hint = failure.hint.as_deref().unwrap_or("give at least one region a share");
            findings.push(finding(code::NO_ADDRESS, Severity::Blocker, failure.message.clone(), hint));
        }
        let view = match self.control.get(LOOK).await {
            Ok(view) => view,
            Err(failure) => {
                let hint = failure.hint.as_deref().unwrap_or("start it, and look at control_url in the plan");
                findings.push(finding(code::DNS_CONTROL, Severity::Blocker, failure.message.clone(), hint));
                None
            }
        };
        let asked = query::addresses(self.plan.server, &self.plan.name, true, LOOK / 2, query::Asked::Authority).await;
        if let Err(why) = asked {
            let message = format!("{} is not answered for at {}: {why}", self.plan.name, self.plan.server);
            let hint = "users would get no answer either: look at server and the zones of the authority";
            findings.push(finding(code::DNS_SILENT, Severity::Blocker, message, hint));
        }
        findings.extend(self.ttl_finding(view.as_ref()));
        Ok(findings)
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        match effect {
            Effect::Route { component, shares } if component == &self.component => self.route(shares, context).await,
            other => Err(unsupported(other)),
        }
    }
}

fn unsupported(effect: &Effect) -> Failure {
    let whom = effect.component().map_or_else(String::new, |c| format!(" of {c}"));
    Failure::unsupported(format!("DNS cannot do {:?}{whom}", effect.capability()))
}

fn finding(code: code::Code, severity: Severity, message: String, hint: &str) -> Finding {
    Finding { code: code.to_string(), severity, message, hint: hint.to_owned() }
}

fn list(addresses: impl Iterator<Item = IpAddr>) -> String {
    addresses.map(|a| a.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;

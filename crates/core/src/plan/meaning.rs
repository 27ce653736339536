//! What a plan means, in sentences: what is promised, who decides, what "one writer" rests on and leaves unproven.
//!
//! Shown by `check` before anything goes live, so that nobody learns it from an outage.

mod guarantee;
mod tokens;

pub use guarantee::promise;

use super::shares::show_shares;
use super::{ComponentPlan, DecisionMode, Kind, OnWriterDeath, Plan, RejoinMode};
use crate::effect::FenceAssurance;
use crate::lease;
use crate::time::show_duration;
use serde::Serialize;
use std::time::Duration;

/// A plan in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meaning {
    /// What is promised, and what the settings alone take of it.
    pub objectives: Vec<String>,
    /// Who does what, when.
    pub policy: Vec<String>,
    /// What "one writer" rests on.
    pub guarantee: String,
    /// What that leaves unproven.
    pub unproven: Vec<String>,
    /// One line per component.
    pub components: Vec<String>,
}

/// The plan in words.
pub fn meaning(plan: &Plan) -> Meaning {
    let (guarantee, unproven) = promise(plan);
    Meaning {
        objectives: objectives(plan),
        policy: policy(plan),
        guarantee,
        unproven,
        components: plan.components.iter().map(|(name, c)| format!("{name}: {}", component(plan, c))).collect(),
    }
}

/// The longest time to live of the plan's DNS answers.
fn ttl(plan: &Plan) -> Duration {
    let ttl = |c: &ComponentPlan| if let Kind::Dns(dns) = &c.kind { Some(dns.ttl) } else { None };
    plan.components.values().filter_map(ttl).max().unwrap_or_default()
}

fn objectives(plan: &Plan) -> Vec<String> {
    let o = &plan.objectives;
    let wait = lease::granters_lease(plan.policy.lease);
    let mut lines = vec![
        format!("RTO {}: from the first failed to the first good request", show_duration(o.rto)),
        format!(
            "of these, a lost region takes {} for its lease and up to {} for DNS answers, before anything is started",
            show_duration(wait),
            show_duration(ttl(plan))
        ),
        format!("RPO {}: the time whose acknowledged changes may be lost", show_duration(o.rpo)),
    ];
    let further = [("MTPD", o.mtpd), ("WRT", o.wrt), ("MTTR", o.mttr)];
    lines.extend(further.iter().filter_map(|(word, d)| Some(format!("{word} {}", show_duration((*d)?)))));
    lines
}

fn policy(plan: &Plan) -> Vec<String> {
    let p = &plan.policy;
    let mut lines = vec![match p.mode {
        DecisionMode::Automatic => "Pilotlight fails over by itself, once, then waits for a person".to_owned(),
        DecisionMode::ApproveFirst => "Pilotlight prepares a failover; a person approves its first step".to_owned(),
        DecisionMode::Manual => "only a person starts a failover".to_owned(),
    }];
    lines.push(match p.on_writer_death {
        OnWriterDeath::Restart { attempts } => {
            format!("a dead database server is started again in place, up to {attempts} times within ten minutes")
        }
        OnWriterDeath::Failover => "a dead database server is given up at once".to_owned(),
    });
    lines.push(match p.least_fence {
        FenceAssurance::Proven => {
            "without a person, only a writer that was seen dead is replaced; a lost region waits \
                                   for one"
                .to_owned()
        }
        fence => format!("the least fence that may promote without a person: {fence}"),
    });
    lines.push(format!("no second automatic failover for {}, unless acknowledged", show_duration(p.cool_down)));
    if let Some(shares) = &plan.shares {
        let strategy = if plan.is_active_active() { "active-active" } else { "active-passive" };
        lines.push(format!("at rest users are led by these shares: {} ({strategy})", show_shares(shares)));
    }
    if let Some(bytes) = p.max_lag_bytes {
        lines.push(format!("a standby that lags more than {} is not promoted by itself", show_bytes(bytes)));
    }
    lines.push(
        match p.rejoin {
            RejoinMode::Automatic => {
                "a returned region becomes a standby by itself; what only it held is kept in a rescue bundle first"
            }
            RejoinMode::Manual => "a returned region stays fenced until a person lets it join again",
        }
        .to_owned(),
    );
    lines.extend(tokens::open(plan));
    lines
}

fn component(plan: &Plan, component: &ComponentPlan) -> String {
    let words = match &component.kind {
        Kind::Postgres(p) => {
            let places: Vec<String> = p.regions.iter().map(|(r, s)| format!("{r} {}:{}", s.host, s.port)).collect();
            format!("PostgreSQL in {}; writer at home in {}", places.join(", "), plan.home)
        }
        Kind::Process(p) => {
            format!("a program, {} where the traffic is and {} elsewhere", instances(p.active), p.standby)
        }
        Kind::Dns(d) => format!("the name {}, answers kept for {}", d.name, show_duration(d.ttl)),
        Kind::Exec(e) => {
            let place = e.region.as_ref().map_or_else(|| "the controller".to_owned(), |r| format!("the agent of {r}"));
            format!("a command of yours, run by {place}, up to {}", show_duration(e.deadline))
        }
        Kind::Webhook(_) => "tells people".to_owned(),
        Kind::Aws(aws) => aws.words(plan),
    };
    let words = component.said_of_writes(plan).map_or(words.clone(), |said| format!("{words}; {said}"));
    if plan.units().len() > 1 { format!("{words} (moves with {})", component.unit) } else { words }
}

fn instances(n: u32) -> String {
    if n == 1 { "1 instance".to_owned() } else { format!("{n} instances") }
}

/// `16 MiB`; in bytes what is not a whole number of a larger unit.
fn show_bytes(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let whole = units.into_iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    whole.map_or_else(|| format!("{bytes} bytes"), |(unit, size)| format!("{} {unit}", bytes / size))
}

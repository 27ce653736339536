//! What "one writer" rests on under the plan's guarantee, and what that leaves unproven in this set-up.

use crate::gate;
use crate::lease::FENCE_ALLOWANCE;
use crate::plan::{BeyondRpo, ComponentPlan, ConnectionFence, Guarantee, Plan};
use crate::time::show_duration;

/// What a provider keeps and we can only ask for.
const PROVIDED: &str = "what is the provider's rests on the provider's word: a move is one call to it, and it says when the old \
    writer takes no more writes; no lease or gate of ours stands beside that";

/// What "one writer" rests on, in one sentence, and what that leaves unproven, one line for each thing.
pub fn promise(plan: &Plan) -> (String, Vec<String>) {
    (rests_on(plan), unproven(plan))
}

/// One sentence.
fn rests_on(plan: &Plan) -> String {
    let held = || plan.components.values().filter(|c| c.is_replicated());
    let provided = held().any(ComponentPlan::is_managed);
    match (held().any(|c| !c.is_managed()), provided) {
        (false, true) => PROVIDED.to_owned(),
        (true, true) => format!("{}. Besides, {PROVIDED}", ours(plan)),
        (_, false) => ours(plan),
    }
}

fn ours(plan: &Plan) -> String {
    let lease = show_duration(plan.policy.lease);
    match plan.policy.guarantee {
        Guarantee::Strict => {
            "strict: a write is acknowledged only when the candidate has it on disk, and only the candidate is \
             promoted without a person; no clock is trusted"
                .to_owned()
        }
        Guarantee::Bounded => {
            let early = plan.policy.lease.saturating_sub(plan.policy.renew);
            let early = early.saturating_sub(gate::sender_timeout(plan.policy.lease) + gate::SEND_ALLOWANCE);
            let governor = match plan.policy.beyond_rpo {
                BeyondRpo::Stall => {
                    format!(
                        "; writes wait rather than leave the candidate more than {} behind",
                        show_duration(plan.objectives.rpo)
                    )
                }
                BeyondRpo::Expose => String::new(),
            };
            format!(
                "bounded: a write is acknowledged when the candidate has it on disk, or when a gate beside the writer \
                 confirms it, which it does only while the lease of {lease} is valid; nobody else is promoted before that \
                 has provably ended. When agent or controller fall silent for {}, writes take as long as the candidate \
                 takes{governor}",
                show_duration(early)
            )
        }
        Guarantee::BestEffort => format!(
            "best effort: the writer's agent stops its writer when its lease of {lease} runs out, and nobody else is \
             promoted before that has provably happened"
        ),
    }
}

/// One line for each thing.
fn unproven(plan: &Plan) -> Vec<String> {
    let held = || plan.components.values().filter(|c| c.is_replicated());
    let provided = held().any(ComponentPlan::is_managed);
    let mut lines = if provided && held().all(ComponentPlan::is_managed) { Vec::new() } else { of_ours(plan) };
    if provided {
        lines.push("a writer that its provider has lost sight of may go on until the provider stops it".to_owned());
    }
    lines
}

fn of_ours(plan: &Plan) -> Vec<String> {
    let mut lines = by_guarantee(plan);
    let any = |fence| plan.components.values().any(|c| c.connection_fence() == fence);
    if any(ConnectionFence::Kernel) {
        let past = "past the kernel's fence get clients on the server's Unix socket, at other ports of it and on the hosts of the \
            copies, and all clients of a server in another network namespace than its agent, such as a container with a \
            published port";
        lines.push(past.to_owned());
    }
    if any(ConnectionFence::Proxy) {
        lines.push("past the proxy get clients that reach the server's own address or its Unix socket".to_owned());
    }
    lines
}

fn by_guarantee(plan: &Plan) -> Vec<String> {
    match plan.policy.guarantee {
        Guarantee::Strict => waits(plan),
        Guarantee::Bounded => {
            let mut lines = waits(plan);
            lines.push(
                "a machine that was paused as a whole does not see its lease run out while it is paused: its gate may confirm \
                 until the controller answers again"
                    .to_owned(),
            );
            lines.push(
                "a wall clock that is set back on the writer's machine while its gate is stopped lets the server believe that \
                 gate for as much longer"
                    .to_owned(),
            );
            if plan.policy.beyond_rpo == BeyondRpo::Expose {
                let lease = plan.policy.lease.max(plan.objectives.rpo);
                lines.push(format!(
                    "while the candidate is cut off, writes go on and are not in it; after {} it is no candidate any more, \
                     and nobody is promoted without a person",
                    show_duration(lease)
                ));
                lines.extend(longer_lease(plan));
            }
            lines.push(
                "what the gate confirmed and was still on its way is lost with the region: milliseconds' worth"
                    .to_owned(),
            );
            lines
        }
        Guarantee::BestEffort => best_effort(plan),
    }
}

/// What no guarantee that rests on waiting covers, for the technologies of this plan.
fn waits(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.components.values().any(ComponentPlan::waits) {
        let fenced = plan.components.values().filter(|c| c.waits()).all(ComponentPlan::fences_connections);
        lines.push(if fenced {
            "with the fence of connections, clients need the lease: loss of every controller for longer than that cuts \
             them off, also where commits alone could go on"
                .to_owned()
        } else {
            "no second layer fences connections: sessions that set synchronous_commit to off or local, and clients that \
             cancel a commit while it waits, are told of writes that the candidate may lack"
                .to_owned()
        });
        lines.push(
            "a session that sets synchronous_commit to remote_write is told of writes that the candidate has in memory and \
             not yet on its disk"
                .to_owned(),
        );
        lines.push(
            "one writer is not one reader: an old writer that is cut off still answers reads, and change data capture is \
             given rows before anybody was told that they are written"
                .to_owned(),
        );
        lines.push(
            "a superuser who changes the server by hand is outside the promise until the agent has set it again"
                .to_owned(),
        );
    }
    let candidates = plan.components.values().map(|c| c.copies().len()).filter(|n| *n > 0).min().unwrap_or_default();
    if candidates == 2 {
        let away = match plan.policy.guarantee {
            Guarantee::Strict => "while it is away, writes wait",
            _ => "while it is away, nobody is promoted without a person",
        };
        lines.push(format!("there is one other copy, so one candidate: {away}"));
    }
    lines
}

fn best_effort(plan: &Plan) -> Vec<String> {
    let mut lines = vec![
        "a writer whose agent was stopped or frozen while its database lives on is not stopped by its lease".to_owned(),
        "a machine that was paused as a whole does not see its lease run out while it is paused".to_owned(),
        format!(
            "a fence that takes longer than {}, as on a machine that is too busy, leaves two writers until it is done",
            show_duration(FENCE_ALLOWANCE)
        ),
        format!(
            "while the link is cut, changes acknowledged in the old region for up to {} are not in the other one",
            show_duration(plan.policy.lease)
        ),
        "loss of every controller for longer than the lease stops writes".to_owned(),
    ];
    lines.extend(longer_lease(plan));
    lines
}

/// What the plan accepted by `beyond_rpo: expose` or `best-effort` (PL-0115).
fn longer_lease(plan: &Plan) -> Option<String> {
    let said = "the lease is longer than the RPO: such a cut can lose more than the RPO, and no failover is held for what is \
        acknowledged after it";
    (plan.policy.lease > plan.objectives.rpo).then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{plan, postgres};
    use std::time::Duration;

    #[test]
    fn each_guarantee_tells_what_it_leaves_open_and_nothing_that_it_closes() {
        let mut plan = plan(&["east", "west"], vec![("database", postgres(&["east", "west"]))]);
        for (open, strict, bounded, best_effort) in [
            ("sets synchronous_commit to remote_write", true, true, false),
            ("change data capture is given rows before", true, true, false),
            ("a machine that was paused as a whole", false, true, true),
            ("a wall clock that is set back", false, true, false),
            ("what the gate confirmed and was still on its way", false, true, false),
            ("a fence that takes longer than 150 ms", false, false, true),
            ("a writer whose agent was stopped or frozen", false, false, true),
        ] {
            for (guarantee, wanted) in
                [(Guarantee::Strict, strict), (Guarantee::Bounded, bounded), (Guarantee::BestEffort, best_effort)]
            {
                plan.policy.guarantee = guarantee;
                let lines = unproven(&plan);
                assert_eq!(lines.iter().any(|line| line.contains(open)), wanted, "{guarantee:?}, {open}: {lines:#?}");
            }
        }
    }

    #[test]
    fn a_lease_longer_than_the_rpo_is_told_where_the_plan_accepts_it() {
        let mut plan = plan(&["east", "west"], vec![("database", postgres(&["east", "west"]))]);
        let told = |plan: &Plan| unproven(plan).iter().any(|line| line.starts_with("the lease is longer than the RPO"));
        for (guarantee, beyond_rpo, wanted) in [
            (Guarantee::Bounded, BeyondRpo::Expose, true),
            (Guarantee::Bounded, BeyondRpo::Stall, false),
            (Guarantee::BestEffort, BeyondRpo::Expose, true),
            (Guarantee::Strict, BeyondRpo::Expose, false),
        ] {
            (plan.policy.guarantee, plan.policy.beyond_rpo) = (guarantee, beyond_rpo);
            plan.policy.lease = Duration::from_secs(3);
            plan.objectives.rpo = Duration::from_secs(2);
            assert_eq!(told(&plan), wanted, "{guarantee:?}, {beyond_rpo:?}");
            plan.objectives.rpo = Duration::from_secs(3);
            assert!(!told(&plan), "{guarantee:?}, {beyond_rpo:?}: no longer than the RPO");
        }
    }
}

//! What the tokens of a plan leave open.

use crate::id::Region;
use crate::plan::{Kind, Plan};

/// One line for each secret that stands for more than its holder needs.
pub(super) fn open(plan: &Plan) -> Vec<String> {
    let controller = &plan.controller;
    let mut lines = Vec::new();
    let shares = |region: &&Region| plan.expects_agent(region) && !controller.region_tokens.contains_key(*region);
    let sharing: Vec<&str> = plan.regions.iter().filter(shares).map(Region::as_str).collect();
    if !sharing.is_empty() {
        let (whose, more) = match controller.agent_token {
            Some(_) => ("`controller.agent_token`", ""),
            None => ("the operators' token", ", and start, steer and hold every move"),
        };
        lines.push(format!(
            "agents in {} show {whose}: a machine of one region can speak for another{more} (see `controller.region_tokens`)",
            sharing.join(", ")
        ));
    }
    if !plan.policy.observers.is_empty() && controller.observer_token.is_none() {
        lines.push(
            "observers show a token that agents have: they can speak for a region (see `controller.observer_token`)"
                .into(),
        );
    }
    let names = plan.components.values().any(|c| matches!(c.kind, Kind::Dns(_)));
    if names && controller.dns_token.is_none() {
        lines.push(
            "the DNS authority has the operators' token: its machine can start a move (see `controller.dns_token`)"
                .into(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{SAMPLE, SecretRef};

    #[test]
    fn each_token_that_stands_for_more_is_named_until_its_places_have_their_own() {
        let mut plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
        plan.policy.observers = vec!["paris".into()];
        let of = |name: &str| SecretRef::Env(name.to_owned());
        assert_eq!(open(&plan).len(), 3);
        assert!(
            open(&plan)[0].contains("east, west") && open(&plan)[0].contains("hold every move"),
            "{:?}",
            open(&plan)
        );
        plan.controller.agent_token = Some(of("AGENTS"));
        plan.controller.region_tokens = [("east".into(), of("EAST"))].into();
        let line = &open(&plan)[0];
        assert!(line.contains("agents in west show `controller.agent_token`") && !line.contains("hold"), "{line}");
        assert_eq!(plan.controller.token_of_agent(&"east".into()), &of("EAST"));
        assert_eq!(plan.controller.token_of_agent(&"west".into()), &of("AGENTS"));
        plan.controller.region_tokens.insert("west".into(), of("WEST"));
        (plan.controller.observer_token, plan.controller.dns_token) = (Some(of("EYES")), Some(of("DNS")));
        assert_eq!(open(&plan), Vec::<String>::new());
    }

    #[test]
    fn one_secret_for_two_places_is_a_fault() {
        let token = "  token: { env: PILOTLIGHT_TOKEN }";
        assert!(SAMPLE.contains(token));
        let with = |more: &str| Plan::read(&SAMPLE.replacen(token, &format!("{token}\n  {more}\n "), 1), "plan.yaml");
        with("region_tokens: { east: { env: EAST }, west: { env: WEST } }").unwrap();
        let faults = with("region_tokens: { east: { env: EAST }, west: { env: EAST } }").unwrap_err();
        let said = faults.to_string();
        assert!(faults.iter().count() == 1 && said.contains("controller.region_tokens.west"), "{said}");
        assert!(with("region_tokens: { mars: { env: MARS } }").is_err(), "the plan has no such region");
    }
}

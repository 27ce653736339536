//! States by hand, and what becomes of them.

use super::{Imported, StateError, import};
use crate::plan::aws::AwsComponent;
use crate::plan::{Kind, Plan};
use serde_json::{Value, json};

fn shown(outputs: &Value, resources: &[(&str, &str, Value)]) -> String {
    let resources: Vec<Value> = resources
        .iter()
        .map(|(address, kind, values)| json!({"address": address, "mode": "managed", "type": kind, "values": values}))
        .collect();
    let module = json!({"child_modules": [{"resources": resources}]});
    json!({"format_version": "1.0", "values": {"outputs": outputs, "root_module": module}}).to_string()
}

fn cluster(region: &str) -> (&'static str, &'static str, Value) {
    let arn = format!("arn:aws:rds:{region}:1:cluster:shop-{region}");
    let name = format!("shop-{region}");
    (
        "aws_rds_cluster.x",
        "aws_rds_cluster",
        json!({"arn": arn, "cluster_identifier": name, "global_cluster_identifier": "shop"}),
    )
}

fn service(region: &str, count: u64) -> (&'static str, &'static str, Value) {
    let values = json!({
        "id": format!("arn:aws:ecs:{region}:1:service/web/web"), "name": "web", "desired_count": count,
        "cluster": format!("arn:aws:ecs:{region}:1:cluster/web"),
    });
    ("aws_ecs_service.x", "aws_ecs_service", values)
}

fn nodes(region: &str, name: &str, count: u64) -> (&'static str, &'static str, Value) {
    let values = json!({
        "arn": format!("arn:aws:eks:{region}:1:nodegroup/shop-{region}/{name}/1"), "cluster_name": format!("shop-{region}"),
        "node_group_name": name, "scaling_config": [{"min_size": count, "max_size": 20, "desired_size": count}],
    });
    ("aws_eks_node_group.x", "aws_eks_node_group", values)
}

fn group(region: &str, name: &str) -> (&'static str, &'static str, Value) {
    let values = json!({
        "arn": format!("arn:aws:autoscaling:{region}:1:autoScalingGroup:x:autoScalingGroupName/{name}"), "name": name,
        "desired_capacity": 2,
    });
    ("aws_autoscaling_group.x", "aws_autoscaling_group", values)
}

fn record(region: &str, policy: &str) -> (&'static str, &'static str, Value) {
    let mut values = json!({
        "zone_id": "Z1", "name": "pay.example.com", "type": "A", "set_identifier": region, "ttl": 0,
        "alias": [{"name": format!("{region}.example.com"), "zone_id": "Z2"}], "health_check_id": "check",
    });
    values[policy] = json!([{}]);
    ("aws_route53_record.x", "aws_route53_record", values)
}

fn whats(imported: &Imported) -> Vec<&str> {
    imported.findings.iter().map(|gap| gap.what.as_str()).collect()
}

#[test]
fn a_plan_is_read_off_resources_alone() {
    let policy = "failover_routing_policy";
    let resources = [
        cluster("us-east-1"),
        cluster("us-west-2"),
        service("us-east-1", 6),
        service("us-west-2", 1),
        nodes("us-east-1", "general", 8),
        nodes("us-west-2", "general", 2),
        record("us-east-1", policy),
        record("us-west-2", policy),
    ];
    let imported = import(&shown(&json!({}), &resources)).unwrap();
    let plan = Plan::read(&imported.plan, "plan").unwrap_or_else(|e| panic!("{e:?}\n{}", imported.plan));
    assert_eq!(plan.components.len(), 4, "{}", imported.plan);
    for part in [
        "kind: eks",
        "active: 8",
        "standby: 2",
        "cluster: shop-us-west-2, node_group: general",
        "active: 6",
        "standby: 1",
        "policy: failover",
        "global_cluster: shop",
        "rto: 1h  # change this",
    ] {
        assert!(imported.plan.contains(part), "{part} is missing in\n{}", imported.plan);
    }
    let missing: Vec<&str> = whats(&imported);
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing.iter().all(|what| what.contains("a value to change")), "{missing:?}");
}

/// The project's own modules call the database and what runs beside it by the name of the application.
#[test]
fn components_that_want_one_name_are_all_taken_over() {
    let policy = "failover_routing_policy";
    let changed = |region: &str, changes: &[(&str, &str)]| {
        let (address, kind, mut values) = record(region, policy);
        for (key, value) in changes {
            values[*key] = json!(value);
        }
        (address, kind, values)
    };
    let of = |region: &'static str| {
        let aaaa = changed(region, &[("type", "AAAA")]);
        let api = changed(region, &[("name", "api"), ("fqdn", "api.example.com")]);
        [cluster(region), group(region, "shop"), record(region, policy), aaaa, api]
    };
    let resources: Vec<_> = ["us-east-1", "us-west-2"].into_iter().flat_map(of).collect();
    let imported = import(&shown(&json!({}), &resources)).unwrap();
    let plan = Plan::read(&imported.plan, "plan").unwrap_or_else(|e| panic!("{e:?}\n{}", imported.plan));
    let names: Vec<&str> = plan.components.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["name", "name-2", "name-3", "shop", "shop-2"], "{}", imported.plan);
    for part in ["kind: aurora", "kind: autoscaling", "type: A\n", "type: AAAA", "name: api.example.com"] {
        assert!(imported.plan.contains(part), "{part} is missing in\n{}", imported.plan);
    }
    // An output that names one of the three leaves the others to be taken over, and says so of each.
    let said = json!({"pilotlight": {"value": {"components": {"users": {
        "kind": "route53", "zone": "Z1", "name": "Pay.example.com.", "policy": "failover",
        "answers": {"us-east-1": {"value": "192.0.2.1"}, "us-west-2": {"value": "192.0.2.2"}},
    }}}}});
    let imported = import(&shown(&said, &resources)).unwrap();
    let taken = whats(&imported).iter().filter(|what| what.contains("does not name this route53")).count();
    assert_eq!(taken, 2, "{:?}", imported.findings);
}

/// Node groups of two clusters: nothing in the state says which of them belong together, so none is taken over.
#[test]
fn a_name_that_is_there_twice_in_a_region_is_no_component() {
    let of = |cluster: &str, region: &str| {
        let (address, kind, mut values) = nodes(region, "default", 2);
        values["cluster_name"] = json!(format!("{cluster}-{region}"));
        (address, kind, values)
    };
    let [east, west] = ["us-east-1", "us-west-2"];
    let resources = [of("a", east), of("b", east), of("b", west), of("a", west), service(east, 1), service(west, 1)];
    let twice = |imported: &Imported| whats(imported).iter().filter(|what| what.contains("more than one")).count();
    let imported = import(&shown(&json!({}), &resources)).unwrap();
    assert!(!imported.plan.contains("kind: eks") && imported.plan.contains("kind: ecs"), "{}", imported.plan);
    assert_eq!(twice(&imported), 1, "{:?}", imported.findings);
    // An output that names one of the clusters leaves a question; one that names both, none.
    let component = |cluster: &str| {
        let place = |region: &str| json!({"cluster": format!("{cluster}-{region}"), "node_group": "default"});
        json!({"kind": "eks", "active": 2, "regions": {"us-east-1": place(east), "us-west-2": place(west)}})
    };
    for (components, left) in
        [(json!({"a": component("a")}), 1), (json!({"a": component("a"), "b": component("b")}), 0)]
    {
        let output = json!({"pilotlight": {"value": {"components": components}}});
        let imported = import(&shown(&output, &resources)).unwrap();
        assert_eq!(twice(&imported), left, "{:?}", imported.findings);
    }
}

/// A plan with the first of two addresses would, in its first move, take the second one from users.
#[test]
fn records_that_are_not_one_answer_by_weight_or_failover_are_not_guessed() {
    let plain = |region: &str, policy: &str, answers: Value| {
        let (address, kind, mut values) = record(region, policy);
        (values["alias"], values["records"]) = (json!([]), answers);
        (address, kind, values)
    };
    let none = "none of them";
    for (policy, east, what) in [
        ("weighted_routing_policy", json!(["192.0.2.1"]), None),
        ("failover_routing_policy", json!(["192.0.2.1"]), None),
        ("weighted_routing_policy", json!(["192.0.2.1", "192.0.2.2"]), Some("has 2 answers")),
        ("latency_routing_policy", json!(["192.0.2.1"]), Some("neither weighted nor failover")),
        ("geolocation_routing_policy", json!(["192.0.2.1"]), Some("neither weighted nor failover")),
        (none, json!(["192.0.2.1"]), Some("neither weighted nor failover")),
    ] {
        let names = [plain("us-east-1", policy, east), plain("us-west-2", policy, json!(["192.0.2.9"]))];
        let resources = [&names[..], &[service("us-east-1", 1), service("us-west-2", 1)]].concat();
        let imported = import(&shown(&json!({}), &resources)).unwrap();
        assert_eq!(imported.plan.contains("kind: route53"), what.is_none(), "{policy}: {}", imported.plan);
        let said = |what: &str| whats(&imported).iter().filter(|said| said.contains(what)).count();
        assert_eq!(what.map_or(1, said), 1, "{policy}: {:?}", imported.findings);
    }
}

/// The primary's check is inverted and asks for an object in the other region: that is a switch, and not a check of health.
#[test]
fn a_switch_is_read_off_its_health_check() {
    let of = |region: &str, part: &str, check: Option<&str>| {
        let (address, kind, mut values) = record(region, "failover_routing_policy");
        values["failover_routing_policy"] = json!([{"type": part}]);
        values["health_check_id"] = json!(check);
        (address, kind, values)
    };
    let check = |inverted: bool, region: &str| {
        let values = json!({"id": "check-1", "type": "HTTPS", "invert_healthcheck": inverted, "resource_path": "/away",
            "fqdn": format!("pay-switch.s3.{region}.amazonaws.com"), "request_interval": 30, "failure_threshold": 3});
        ("aws_route53_health_check.x", "aws_route53_health_check", values)
    };
    let bucket = ("aws_s3_bucket.x", "aws_s3_bucket", json!({"bucket": "pay-switch"}));
    let records = [of("us-east-1", "PRIMARY", Some("check-1")), of("us-west-2", "SECONDARY", None)];
    let resources =
        |inverted, region| [records[0].clone(), records[1].clone(), bucket.clone(), check(inverted, region)];
    let imported = import(&shown(&json!({}), &resources(true, "us-west-2"))).unwrap();
    let plan = Plan::read(&imported.plan, "plan").unwrap_or_else(|e| panic!("{e:?}\n{}", imported.plan));
    let Kind::Aws(AwsComponent::Route53(name)) = &plan.components.values().next().unwrap().kind else {
        panic!("{plan:?}")
    };
    let (switch, away) = name.switch().unwrap();
    assert_eq!((switch.home.as_str(), away.as_str()), ("us-east-1", "us-west-2"));
    assert_eq!((switch.bucket.as_str(), switch.object.as_str(), switch.takes.as_secs()), ("pay-switch", "away", 120));
    for (inverted, region) in [(false, "us-west-2"), (true, "us-east-1")] {
        let imported = import(&shown(&json!({}), &resources(inverted, region))).unwrap();
        assert!(!imported.plan.contains("switch"), "{}", imported.plan);
    }
    // The same by the output is the same name, not a second one; a bucket that is not in the state is said.
    let said = json!({"pilotlight": {"value": {"components": {"users": {
        "kind": "route53", "zone": "Z1", "name": "pay.example.com", "policy": "failover",
        "switch": {"home": "us-east-1", "bucket": "pay-switch", "object": "away", "takes": "120s"},
        "answers": {"us-east-1": {"value": "192.0.2.1", "health_check": "check-1"}, "us-west-2": {"value": "192.0.2.2"}},
    }}}}});
    let mut with = resources(true, "us-west-2").to_vec();
    with.push(("aws_route53_zone.x", "aws_route53_zone", json!({"zone_id": "Z1"})));
    let imported = import(&shown(&said, &with)).unwrap();
    assert_eq!(Plan::read(&imported.plan, "plan").unwrap().components.len(), 1, "{}", imported.plan);
    with.retain(|(_, kind, _)| *kind != "aws_s3_bucket");
    let imported = import(&shown(&said, &with)).unwrap();
    assert!(whats(&imported).iter().any(|what| what.contains("called `pay-switch`")), "{:?}", whats(&imported));
}

#[test]
fn the_output_goes_before_what_is_read() {
    let output = json!({"pilotlight": {"value": {
        "application": "shop", "regions": ["us-west-2", "us-east-1"], "objectives": {"rto": "900s", "rpo": "60s"},
        "components": {"front": {"kind": "ecs", "active": 8, "standby": 2, "regions": {
            "us-east-1": {"cluster": "web", "service": "web"}, "us-west-2": {"cluster": "web", "service": "web"}}}},
    }}});
    let resources = [service("us-east-1", 6), service("us-west-2", 1), cluster("us-east-1"), cluster("us-west-2")];
    let imported = import(&shown(&output, &resources)).unwrap();
    let plan = Plan::read(&imported.plan, "plan").unwrap();
    assert_eq!(plan.home.as_str(), "us-west-2");
    assert!(imported.plan.contains("active: 8") && !imported.plan.contains("active: 6"), "{}", imported.plan);
    // What the output does not name is taken over, and said.
    assert_eq!(whats(&imported), ["the output `pilotlight` does not name this aurora; it was taken over"]);
}

#[test]
fn shares_at_rest_and_who_writes_are_those_of_the_output() {
    let output = json!({"pilotlight": {"value": {
        "application": "shop", "regions": ["us-west-2", "us-east-1"], "objectives": {"rto": "900s", "rpo": "60s"},
        "shares": {"us-west-2": 100, "us-east-1": 0},
        "components": {"data": {"kind": "aurora", "global_cluster": "shop", "writes": "across", "regions": {
            "us-east-1": {"cluster": "a"}, "us-west-2": {"cluster": "b"}}}},
    }}});
    let imported = import(&shown(&output, &[])).unwrap();
    let plan = Plan::read(&imported.plan, "plan").unwrap_or_else(|e| panic!("{e:?}\n{}", imported.plan));
    assert_eq!(plan.shares, Some([("us-west-2".into(), 100), ("us-east-1".into(), 0)].into()));
    assert!(imported.plan.contains("writes: across"), "{}", imported.plan);
}

/// Without them every call would be made by whoever runs Pilotlight, and the function would know none of its alarms.
#[test]
fn account_role_needs_and_alarms_are_those_of_the_output() {
    let (role, alarm) =
        ("arn:aws:iam::012345678901:role/shop-pilotlight", "arn:aws:cloudwatch:us-east-1:012345678901:alarm:h");
    let output = json!({"pilotlight": {"value": {
        "application": "shop", "regions": ["us-west-2", "us-east-1"], "objectives": {"rto": "900s", "rpo": "60s"},
        "aws": {"account": "012345678901", "role": role, "regions": {"us-east-1": {"needs": {"keys": ["alias/shop"]}}}},
        "alarms": {"health-us-west-2": {"alarm": alarm, "region": "us-west-2"}},
        "components": {"data": {"kind": "aurora", "global_cluster": "shop", "regions": {
            "us-east-1": {"cluster": "a"}, "us-west-2": {"cluster": "b"}}}},
    }}});
    let imported = import(&shown(&output, &[])).unwrap();
    let plan = Plan::read(&imported.plan, "plan").unwrap_or_else(|e| panic!("{e:?}\n{}", imported.plan));
    assert_eq!(plan.aws.account.as_deref(), Some("012345678901"), "its zero is not eaten: {}", imported.plan);
    assert_eq!(plan.aws.role_in(&"eu-west-1".into()), Some(role));
    assert_eq!(plan.aws.regions[&"us-east-1".into()].needs.keys, ["alias/shop"]);
    assert_eq!(plan.alarm(alarm).map(|(name, a)| (name, a.region.as_str())), Some(("health-us-west-2", "us-west-2")));
}

#[test]
fn what_cannot_be_said_is_a_finding_and_never_a_guess() {
    let output = json!({"pilotlight": {"value": {
        "application": "shop", "objectives": {"rto": "900s", "rpo": "60s"},
        "components": {
            "search": {"kind": "opensearch"},
            "gone": {"kind": "ecs", "active": 1, "regions": {
                "us-east-1": {"cluster": "web", "service": "gone"}, "us-west-2": {"cluster": "web", "service": "web"}}},
        },
    }}});
    // The lone service is named by the output, which knows its other half; the lone node group is not.
    let resources = [service("us-west-2", 1), nodes("us-west-2", "lone", 1), cluster("us-west-2")];
    let imported = import(&shown(&output, &resources)).unwrap();
    let whats = whats(&imported);
    assert_eq!(whats.iter().filter(|what| what.contains("in one region only")).count(), 1, "{whats:?}");
    for part in ["no kind `opensearch`", "no resource of the state is called `gone`", "in one region only"] {
        assert!(whats.iter().any(|what| what.contains(part)), "{part} is missing in {whats:?}");
    }
    assert!(!imported.plan.contains("opensearch"), "{}", imported.plan);
    let alone =
        ("aws_rds_cluster.a", "aws_rds_cluster", json!({"arn": "arn:aws:rds:r:1:c", "cluster_identifier": "a"}));
    let (address, kind, mut values) = record("us-east-1", "weighted_routing_policy");
    values["set_identifier"] = json!("blue");
    let resources = [alone, (address, kind, values), service("us-east-1", 6), service("us-west-2", 1)];
    let imported = import(&shown(&json!({}), &resources)).unwrap();
    let whats = super::tests::whats(&imported);
    for part in ["belongs to no global cluster", "`blue` is no region"] {
        assert!(whats.iter().any(|what| what.contains(part)), "{part} is missing in {whats:?}");
    }
}

#[test]
fn a_state_file_is_read_like_what_is_shown() {
    let instance = |region: &str, count| json!({"index_key": region, "attributes": service(region, count).2});
    let resource = json!({"mode": "managed", "module": "module.web", "type": "aws_ecs_service", "name": "this",
        "instances": [instance("us-east-1", 3), instance("us-west-2", 0)]});
    let file = json!({"version": 4, "outputs": {}, "resources": [resource]}).to_string();
    let imported = import(&file).unwrap();
    assert!(imported.plan.contains("active: 3") && imported.plan.contains("standby: 0"), "{}", imported.plan);
}

#[test]
fn what_is_no_state_is_refused_with_its_reason() {
    assert!(matches!(import("{"), Err(StateError::NotJson(_))));
    for (text, said) in [
        (r#"{"planned_values": {}}"#, "a plan of Terraform"),
        (r#"{"version": 3, "modules": []}"#, "another version"),
        (r#"{"a": 1}"#, "no state"),
        ("[]", "no state"),
    ] {
        let error = import(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    assert_eq!(import(r#"{"format_version": "1.0"}"#), Err(StateError::Empty));
    assert_eq!(import(&shown(&json!({}), &[])), Err(StateError::Empty));
}

#[test]
fn words_that_yaml_would_misread_are_quoted() {
    for name in ["on", "1e3", "a: b", "", "- x", "#", "\"", "12"] {
        let output = json!({"pilotlight": {"value": {"application": name, "components": {
            "people": {"kind": "sns", "topic": "arn:aws:sns:us-west-2:1:t"}}}}});
        let imported = import(&shown(&output, &[])).unwrap();
        let line = imported.plan.lines().find(|l| l.starts_with("application:")).unwrap();
        assert_eq!(line, format!("application: {}", json!(name)), "{}", imported.plan);
    }
}

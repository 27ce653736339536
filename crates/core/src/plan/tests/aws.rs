//! Plans whose parts AWS runs: every kind, what it means for the rest of core, and its faults.

use crate::code;
use crate::id::Region;
use crate::plan::aws::{AwsComponent, RecordPolicy, RecordType};
use crate::plan::{Kind, Plan, meaning};

const PLAN: &str = r#"
application: payments
objectives: { rto: 15m, rpo: 1m }
regions: [us-east-1, us-west-2]
controller:
  listen: 127.0.0.1:7400
  state: state
  token: { env: PILOTLIGHT_TOKEN }
policy: { mode: approve-first, least_fence: provider-attested }
aws:
  account: "123456789012"
  role: "arn:aws:iam::123456789012:role/everywhere"
  metrics: { region: eu-west-1 }
  distributions:
    - id: E2QWRUHAPOMQZL
      origin_group: shop
      primary: us-east-1
      origins: { us-east-1: east, us-west-2: "lb-1.us-west-2.elb.amazonaws.com" }
      also: [403]
  regions:
    us-west-2:
      role: "arn:aws:iam::123456789012:role/pilotlight"
      needs:
        secrets: [payments/database]
        keys: [alias/payments]
        certificates: ["arn:aws:acm:us-west-2:123456789012:certificate/c"]
        quotas: [{ service: ec2, quota: L-1216C47A, least: 64 }]
components:
  database:
    kind: aurora
    global_cluster: payments
    regions:
      us-east-1: { cluster: payments-east, address: "east.example.com:5432" }
      us-west-2: { cluster: payments-west }
  ledger:
    kind: rds
    regions:
      us-east-1: { instance: ledger, open_groups: [sg-1], closed_groups: [sg-2] }
      us-west-2: { instance: ledger, address: "ledger.example.com:5432", open_groups: [sg-3], closed_groups: [sg-4] }
  cart:
    kind: elasticache
    global_datastore: ldgnf-cart
    regions: { us-east-1: { group: cart }, us-west-2: { group: cart, address: "cart.example.com:6379" } }
  files:
    kind: s3
    regions: { us-east-1: { bucket: files-east }, us-west-2: { bucket: files-west, rule: back } }
  web:
    kind: ecs
    active: 6
    standby: 1
    active_provider: FARGATE
    standby_provider: FARGATE_SPOT
    regions:
      us-east-1: { cluster: pay, service: web }
      us-west-2: { cluster: pay, service: web }
  workers:
    kind: autoscaling
    active: 8
    standby: 1
    active_max: 20
    regions: { us-east-1: workers, us-west-2: workers }
  nodes:
    kind: eks
    active: 8
    standby: 1
    standby_max: 3
    regions:
      us-east-1: { cluster: pay, node_group: general }
      us-west-2: { cluster: pay-standby, node_group: general }
  name:
    kind: route53
    zone: Z123
    name: pay.example.com
    policy: failover
    answers:
      us-east-1: { value: 192.0.2.1, health_check: abc }
      us-west-2: { alias: { name: lb.example.com, zone: Z9 } }
  addresses:
    kind: global-accelerator
    listener: arn:aws:globalaccelerator::123456789012:accelerator/a/listener/l
    regions:
      us-east-1: { endpoint_group: arn:aws:globalaccelerator::123456789012:accelerator/a/listener/l/endpoint-group/1 }
      us-west-2: { endpoint_group: arn:aws:globalaccelerator::123456789012:accelerator/a/listener/l/endpoint-group/2 }
  people:
    kind: sns
    topic: arn:aws:sns:us-west-2:123456789012:incidents
"#;

fn faults(change: impl Fn(String) -> String) -> Vec<code::Code> {
    let faults = Plan::read(&change(PLAN.to_owned()), "plan.yaml").expect_err("it has a fault");
    faults.iter().map(|f| f.code).collect()
}

#[test]
fn every_kind_is_read_and_says_what_it_is_for_the_rest() {
    let plan = Plan::read(PLAN, "plan.yaml").expect("it has no fault");
    let regions = |names: [&str; 2]| names.map(Region::from);
    let both = regions(["us-east-1", "us-west-2"]);
    let part = |name: &str| &plan.components[&name.into()];
    for data in ["database", "ledger", "cart", "files"] {
        assert_eq!(part(data).copies(), both.iter().collect::<Vec<_>>());
    }
    let (places, instances) = part("web").capacity().expect("it runs");
    assert_eq!((places.len(), instances.active, instances.standby), (2, 6, 1));
    assert_eq!(part("workers").capacity().expect("it runs").1.active, 8);
    assert_eq!(part("nodes").capacity().expect("it runs").1.standby, 1);
    assert_eq!((part("name").routes().len(), part("addresses").routes().len()), (2, 2));
    let Kind::Aws(AwsComponent::Route53(name)) = &part("name").kind else { panic!("{:?}", part("name")) };
    assert_eq!((name.record, name.policy, name.ttl_seconds), (RecordType::A, RecordPolicy::Failover, 60));
    assert!(plan.components.values().all(crate::plan::ComponentPlan::is_managed));
    assert!(both.iter().all(|region| !plan.expects_agent(region)), "nobody runs an agent there");
}

/// Of every kind it is said, without a call, which region's control plane a move needs.
#[test]
fn the_control_planes_that_a_move_needs_are_said_of_every_component() {
    let plan = Plan::read(PLAN, "plan.yaml").expect("it has no fault");
    let lines = crate::plan::meaning(&plan).components;
    let line = |name: &str| lines.iter().find(|l| l.starts_with(&format!("{name}: "))).expect("a line each").clone();
    let copies = |service: &str, waits: &str| {
        format!("a planned move needs {service} in both regions{waits}, a failover only where it goes")
    };
    let waits = " and CloudWatch where the copy is";
    for (name, said) in [
        ("database", copies("the control plane of RDS", "")),
        ("ledger", copies("the control plane of RDS", waits)),
        ("cart", copies("the control plane of ElastiCache", waits)),
        ("files", copies("S3", waits)),
        ("web", "any move needs the control plane of ECS where it goes".to_owned()),
        ("workers", "any move needs the control plane of EC2 Auto Scaling where it goes".to_owned()),
        ("nodes", "any move needs the control plane of EKS where it goes".to_owned()),
        (
            "name",
            "its control plane is in us-east-1, so no record changes while that is down, planned or not".to_owned(),
        ),
        ("addresses", "its control plane is in us-west-2, so no dial is turned while that is down".to_owned()),
        ("people", "SNS is asked in us-west-2, which the plan may lose".to_owned()),
    ] {
        assert!(line(name).contains(&said), "{name}: {}", line(name));
    }
    assert_eq!(lines.len(), 10, "a new kind says it, too: {lines:?}");
    assert!(
        line("web").contains("6 tasks where the traffic is and 1 elsewhere: 5 tasks must be launched"),
        "{}",
        line("web")
    );
    for name in ["name", "addresses"] {
        assert!(line(name).contains("which is a region of the plan: see PL-0373"), "{}", line(name));
    }
    let elsewhere = PLAN.replace("us-east-1", "eu-north-1").replace("us-west-2", "eu-west-3");
    let elsewhere = Plan::read(&elsewhere, "plan.yaml").expect("it has no fault");
    assert!(crate::plan::meaning(&elsewhere).components.iter().all(|l| !l.contains("PL-0373")));
}

#[test]
fn a_region_s_own_role_goes_before_the_plan_s() {
    let plan = Plan::read(PLAN, "plan.yaml").expect("it has no fault");
    let role = |region: &str| plan.aws.role_in(&region.into()).map(str::to_owned);
    assert_eq!(role("us-west-2").as_deref(), Some("arn:aws:iam::123456789012:role/pilotlight"));
    for other in ["us-east-1", "eu-west-1"] {
        assert_eq!(role(other).as_deref(), Some("arn:aws:iam::123456789012:role/everywhere"), "{other}");
    }
}

#[test]
fn what_a_region_needs_is_read() {
    let plan = Plan::read(PLAN, "plan.yaml").expect("it has no fault");
    let needs = &plan.aws.regions[&"us-west-2".into()].needs;
    assert_eq!((needs.secrets.as_slice(), needs.certificate_days), (["payments/database".to_owned()].as_slice(), 30));
    assert_eq!((needs.quotas[0].quota.as_str(), needs.quotas[0].least), ("L-1216C47A", 64));
    assert!(!needs.is_empty());
    let metrics = plan.aws.metrics.as_ref().expect("it is there");
    assert_eq!((metrics.namespace.as_str(), metrics.every.as_secs()), ("Pilotlight", 60));
    let [distribution] = plan.aws.distributions.as_slice() else { panic!("{:?}", plan.aws.distributions) };
    assert_eq!((distribution.primary.as_str(), distribution.also.as_slice()), ("us-east-1", [403].as_slice()));
    assert_eq!(distribution.origins[&"us-east-1".into()], "east");
}

#[test]
fn a_plan_without_managed_parts_expects_agents() {
    let plan = Plan::read(crate::plan::SAMPLE, "sample.yaml").expect("the sample has no fault");
    assert!(plan.regions.iter().all(|region| plan.expects_agent(region)));
}

#[test]
fn faults_of_aws_have_codes() {
    let swap = |from: &'static str, to: &'static str| move |plan: String| plan.replace(from, to);
    for (from, to, code) in [
        ("us-west-2", "west", code::PLAN_AWS_REGION),
        ("arn:aws:sns:us-west-2:123456789012:incidents", "incidents", code::PLAN_AWS_ARN),
        ("value: 192.0.2.1", "value: pay.example.org", code::PLAN_VALUE),
        ("{ value: 192.0.2.1, health_check: abc }", "{ health_check: abc }", code::PLAN_CONTRADICTION),
        ("standby: 1\n    active_provider", "standby: 7\n    active_provider", code::PLAN_CONTRADICTION),
        ("open_groups: [sg-3], ", "", code::PLAN_CONTRADICTION),
        ("active_max: 20", "active_max: 5", code::PLAN_CONTRADICTION),
        ("standby: 1\n    standby_max: 3", "standby: 4\n    standby_max: 3", code::PLAN_CONTRADICTION),
        ("{ cluster: pay, node_group: general }", "{ cluster: pay }", code::PLAN_KEY_MISSING),
        (", us-west-2: { bucket: files-west, rule: back }", "", code::PLAN_CONTRADICTION),
        ("bucket: files-west", "bucket: files-east", code::PLAN_CONTRADICTION),
        ("listener: arn:aws:globalaccelerator::", "listener: arn:aws:sns::", code::PLAN_AWS_ARN),
        ("listener/l/endpoint-group/2", "listener/k/endpoint-group/2", code::PLAN_AWS_ARN),
        ("global_cluster: payments", "detach: never", code::PLAN_KEY_MISSING),
        ("metrics: { region: eu-west-1 }", "metrics: { region: us-west-2 }", code::PLAN_AWS_REGION),
        ("acm:us-west-2:", "acm:us-east-1:", code::PLAN_ELSEWHERE),
        ("\"arn:aws:acm:us-west-2:123456789012:certificate/c\"", "c", code::PLAN_AWS_ARN),
        ("east.example.com:5432", "a.us-west-2.rds.amazonaws.com:5432", code::PLAN_ELSEWHERE),
        (
            "us-east-1: east, us-west-2: \"lb-1.us-west-2",
            "us-west-2: east, us-east-1: \"lb-1.us-west-2",
            code::PLAN_ELSEWHERE,
        ),
        ("us-east-1: east, us-west-2: \"lb-1", "us-west-2: \"lb-1", code::PLAN_CONTRADICTION),
        ("rpo: 1m", "rpo: 0s", code::PLAN_RPO_ZERO),
        ("name: lb.example.com", "name: lb.us-east-1.elb.amazonaws.com", code::PLAN_ELSEWHERE),
        ("alias/payments", "arn:aws:kms:eu-west-1:123456789012:key/k", code::PLAN_ELSEWHERE),
    ] {
        let found = faults(swap(from, to));
        assert!(found.contains(&code), "{from} as {to}: {found:?}");
    }
}

#[test]
fn what_a_provider_keeps_is_not_promised_as_ours() {
    let plan = Plan::read(PLAN, "plan.yaml").expect("no fault");
    let words = meaning(&plan);
    assert!(words.guarantee.starts_with("what is the provider's"), "{}", words.guarantee);
    let said = format!("{} {}", words.guarantee, words.unproven.join(" "));
    for ours in ["bounded:", "gate may confirm", "what the gate confirmed", "synchronous_commit"] {
        assert!(!said.contains(ours), "{ours}: {said}");
    }
    assert!(words.unproven.iter().any(|line| line.contains("its provider has lost sight of")), "{said}");
}

/// The plan with users moved by an object.
fn switched(text: &str) -> String {
    let switch = "      us-west-2: { value: 192.0.2.2 }\n    switch: { home: us-east-1, bucket: pay-switch }\n";
    text.replace("      us-west-2: { alias: { name: lb.example.com, zone: Z9 } }\n", switch)
}

#[test]
fn a_switch_is_read_and_needs_no_control_plane_of_route53() {
    let plan = Plan::read(&switched(PLAN), "plan.yaml").expect("it has no fault");
    let Kind::Aws(AwsComponent::Route53(name)) = &plan.components[&"name".into()].kind else { panic!("no name") };
    let (switch, away) = name.switch().expect("it has one");
    assert_eq!((away.as_str(), switch.home.as_str(), switch.takes.as_secs()), ("us-west-2", "us-east-1", 90));
    assert!(crate::plan::meaning(&plan).components.iter().any(|l| l.contains("no control plane of Route 53")));
}

#[test]
fn a_switch_that_could_not_work_is_refused() {
    for (from, to) in [
        ("    policy: failover\n", ""),
        ("home: us-east-1, bucket", "home: us-west-2, bucket"),
        ("home: us-east-1, bucket", "home: eu-west-1, bucket"),
        ("value: 192.0.2.2 }", "value: 192.0.2.2, health_check: def }"),
    ] {
        assert_eq!(faults(|text| switched(&text).replace(from, to)), [code::PLAN_SWITCH], "{to}");
    }
}

#[test]
fn a_region_that_could_not_become_the_primary_is_refused() {
    let value = |text: String| text.replace("{ alias: { name: lb.example.com, zone: Z9 } }", "{ value: 192.0.2.2 }");
    assert_eq!(faults(value), [code::PLAN_CONTRADICTION]);
    let checked = |text: &str| {
        text.replace("{ alias: { name: lb.example.com, zone: Z9 } }", "{ value: 192.0.2.2, health_check: d }")
    };
    assert!(Plan::read(&checked(PLAN), "plan.yaml").is_ok());
    assert!(Plan::read(&value(PLAN.to_owned()).replace("    policy: failover\n", ""), "plan.yaml").is_ok(), "weighted");
}

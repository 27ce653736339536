//! Rights that a move would lack are found before it, by simulation of the role's policies.

use crate::ground::{EAST, Ground, WEST};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::{
    AcceleratorPlan, AnswerTo, AwsComponent, AwsRegion, EcsPlan, EcsService, EksNodeGroup, EksPlan, RdsInstance,
    RdsPlan, RecordPolicy, RecordType, Route53Answer, Route53Plan, S3Bucket, S3Plan, SnsPlan,
};
use serde_json::json;
use std::collections::BTreeMap;

fn service(name: &str) -> AwsComponent {
    let service = EcsService { cluster: name.to_owned(), service: name.to_owned() };
    AwsComponent::Ecs(EcsPlan {
        active: 2,
        standby: 1,
        active_provider: None,
        standby_provider: None,
        regions: [(Region::from(EAST), service.clone()), (Region::from(WEST), service)].into(),
    })
}

fn nodes(name: &str) -> AwsComponent {
    let group = EksNodeGroup { cluster: name.to_owned(), node_group: "general".to_owned() };
    let regions = [(Region::from(WEST), group)].into();
    AwsComponent::Eks(EksPlan { active: 2, standby: 1, active_max: None, standby_max: None, regions })
}

/// A role that may do these calls on these resources.
fn role(ground: &Ground, name: &str, actions: &[&str], resource: &str) -> String {
    let trust = json!({"Version": "2012-10-17", "Statement": []}).to_string();
    let words =
        ["iam", "create-role", "--role-name", name, "--path", "/team/", "--assume-role-policy-document", &trust];
    let made = ground.awscli(EAST, &words);
    let one = json!({"Effect": "Allow", "Action": actions, "Resource": resource});
    let policy = json!({"Version": "2012-10-17", "Statement": [one]}).to_string();
    let words =
        ["iam", "put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document", policy.as_str()];
    ground.awscli(EAST, &words);
    made["Role"]["Arn"].as_str().unwrap().to_owned()
}

async fn found(ground: &Ground, role: &str, component: &AwsComponent) -> Vec<Finding> {
    let region = || AwsRegion { role: Some(role.to_owned()), ..AwsRegion::default() };
    let access = ground.access_to([(Region::from(EAST), region()), (Region::from(WEST), region())].into());
    let name = Component::from("app");
    access.rights(&BTreeMap::from([(&name, component)])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_would_be_denied_is_named_before_a_move() {
    let Some(ground) = Ground::find().await else { return };
    let web = service("web");
    let whole = role(&ground, "whole", &["ecs:UpdateService"], "arn:aws:ecs:*:123456789012:service/web/web");
    assert_eq!(found(&ground, &whole, &web).await, []);

    let looks = role(&ground, "looks", &["ecs:Describe*"], "*");
    let lacks = found(&ground, &looks, &web).await;
    assert_eq!(lacks.len(), 2, "one in each region: {lacks:?}");
    assert!(lacks.iter().all(|f| f.code == "PL-0946" && f.severity == Severity::Blocker), "{lacks:?}");
    assert!(lacks[0].message.contains("ecs:UpdateService on arn:aws:ecs:us-east-1:"), "{lacks:?}");

    let half = role(&ground, "half", &["ecs:UpdateService"], "arn:aws:ecs:us-west-2:123456789012:service/web/web");
    let lacks = found(&ground, &half, &web).await;
    assert!(lacks.len() == 1 && lacks[0].message.contains("us-east-1"), "{lacks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_is_a_warning_told_once() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("nodes");
    let calls = ["eks:UpdateNodegroupConfig", "eks:DescribeUpdate"];
    let may = role(&ground, "nodes", &calls, "arn:aws:eks:us-west-2:123456789012:nodegroup/*");
    let unseen = found(&ground, &may, &nodes(&name)).await;
    assert!(unseen.len() == 1 && unseen[0].severity == Severity::Warning, "{unseen:?}");
    let one = json!({"region": WEST, "cluster": name, "group": "general", "least": 1, "most": 3});
    ground.seed(json!({"nodes": [one]})).await;
    assert_eq!(found(&ground, &may, &nodes(&name)).await, []);

    let deny = json!({"service": "iam", "action": "SimulatePrincipalPolicy", "kind": "deny", "times": 9});
    ground.server.tell("faults", deny).await.unwrap();
    let unknown = found(&ground, &may, &nodes(&name)).await;
    assert!(unknown.len() == 1 && unknown[0].severity == Severity::Warning, "{unknown:?}");
    assert!(unknown[0].message.contains("SimulatePrincipalPolicy"), "{unknown:?}");
}

/// No look of the check makes them: a move would lead users, and then could not tell that it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_only_a_move_makes_is_named_before_it() {
    let Some(ground) = Ground::find().await else { return };
    let answer = Route53Answer { to: AnswerTo::Value("192.0.2.1".to_owned()), health_check: None };
    let name = AwsComponent::Route53(Route53Plan {
        zone: "Z1".to_owned(),
        name: "pay.example.com".to_owned(),
        record: RecordType::A,
        policy: RecordPolicy::Failover,
        ttl_seconds: 60,
        answers: [(Region::from(EAST), answer)].into(),
        switch: None,
    });
    let listener = "arn:aws:globalaccelerator::123456789012:accelerator/a/listener/l".to_owned();
    let group = format!("{listener}/endpoint-group/east");
    let edge = AwsComponent::Accelerator(AcceleratorPlan { listener, regions: [(Region::from(EAST), group)].into() });
    let cases = [
        (&name, "route53:ChangeResourceRecordSets", "route53:GetChange on arn:aws:route53:::change/"),
        (&edge, "globalaccelerator:UpdateEndpointGroup", "globalaccelerator:DescribeAccelerator on arn:aws:"),
    ];
    for (component, changes, look) in cases {
        let service = changes.split(':').next().unwrap();
        let half = role(&ground, &ground.fresh("half"), &[changes], "*");
        let lacks = found(&ground, &half, component).await;
        assert!(lacks.len() == 1 && lacks[0].severity == Severity::Blocker, "{service}: {lacks:?}");
        assert!(lacks[0].code == "PL-0946" && lacks[0].message.contains(look), "{service}: {lacks:?}");
        let whole = role(&ground, &ground.fresh("whole"), &[&format!("{service}:*")], "*");
        assert_eq!(found(&ground, &whole, component).await, [], "{service}");
    }
}

/// S3 copies by a role of its own, which each change of the rules passes on.
#[tokio::test(flavor = "multi_thread")]
async fn the_role_by_which_a_bucket_is_copied_must_be_passed_on() {
    let Some(ground) = Ground::find().await else { return };
    let (east, west) = (ground.fresh("east"), ground.fresh("west"));
    ground.seed(json!({"buckets": [{"regions": [[EAST, east], [WEST, west]]}]})).await;
    let looked = ["s3api", "get-bucket-replication", "--bucket", &east];
    let copies = ground.awscli(EAST, &looked)["ReplicationConfiguration"]["Role"].as_str().unwrap().to_owned();
    let bucket = |bucket: &str| S3Bucket { bucket: bucket.to_owned(), rule: "everything".to_owned() };
    let regions = [(Region::from(EAST), bucket(&east)), (Region::from(WEST), bucket(&west))].into();
    let files = AwsComponent::S3(S3Plan { existing_copied: true, regions });
    let holder = role(&ground, &ground.fresh("holder"), &["s3:*"], "*");
    let lacks = found(&ground, &holder, &files).await;
    let passes =
        |f: &Finding| f.severity == Severity::Blocker && f.message.contains(&format!("iam:PassRole on {copies}"));
    assert!(!lacks.is_empty() && lacks.iter().all(passes), "{lacks:?}");
    let whole = role(&ground, &ground.fresh("whole"), &["s3:*", "iam:PassRole"], "*");
    assert_eq!(found(&ground, &whole, &files).await, []);
}

/// RDS uses the key in the role's name, and the policies of `terraform/modules/iam` give it only through RDS.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_the_key_of_a_database_is_named_before_a_rejoin_needs_it() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("keyed");
    let key = ground.awscli(EAST, &["kms", "create-key"])["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    ground.seed(json!({"rds": [{"instances": [[EAST, name]], "key": key}]})).await;
    let (open_groups, closed_groups) = (vec!["sg-open".to_owned()], vec!["sg-closed".to_owned()]);
    let instance = RdsInstance { instance: name.clone(), address: None, open_groups, closed_groups };
    let component =
        AwsComponent::Rds(RdsPlan { regions: [(Region::from(EAST), instance)].into(), ..RdsPlan::default() });
    let holder = role(&ground, &name, &["rds:*"], "*");
    let lacks = found(&ground, &holder, &component).await;
    assert_eq!(lacks.len(), 2, "{lacks:?}");
    assert!(lacks.iter().all(|f| f.code == "PL-0946" && f.message.contains(&key)), "{lacks:?}");

    for (via, left) in [("sns.us-east-1.amazonaws.com", 2), ("rds.us-east-1.amazonaws.com", 0)] {
        let through = json!({"StringEquals": {"kms:ViaService": [via]}});
        let calls = ["kms:CreateGrant", "kms:DescribeKey"];
        let one = json!({"Effect": "Allow", "Action": calls, "Resource": [key], "Condition": through});
        let policy = json!({"Version": "2012-10-17", "Statement": [one]}).to_string();
        let words =
            ["iam", "put-role-policy", "--role-name", &name, "--policy-name", "k", "--policy-document", &policy];
        ground.awscli(EAST, &words);
        assert_eq!(found(&ground, &holder, &component).await.len(), left, "{via}");
    }

    // What watches the old instance will watch the new one: its role is passed on, to that service and no other.
    let watches = format!("arn:aws:iam::123456789012:role/{name}-watches");
    let set = ["rds", "modify-db-instance", "--db-instance-identifier", &name, "--monitoring-interval", "60"];
    ground.awscli(EAST, &[&set[..], &["--monitoring-role-arn", &watches]].concat());
    let lacks = found(&ground, &holder, &component).await;
    assert!(lacks.len() == 1 && lacks[0].severity == Severity::Blocker, "{lacks:?}");
    assert!(lacks[0].message.contains(&format!("iam:PassRole on {watches}")), "{lacks:?}");
    for (to, left) in [("ec2.amazonaws.com", 1), ("monitoring.rds.amazonaws.com", 0)] {
        let condition = json!({"StringEquals": {"iam:PassedToService": [to]}});
        let one = json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": watches, "Condition": condition});
        let policy = json!({"Version": "2012-10-17", "Statement": [one]}).to_string();
        let words =
            ["iam", "put-role-policy", "--role-name", &name, "--policy-name", "w", "--policy-document", &policy];
        ground.awscli(EAST, &words);
        assert_eq!(found(&ground, &holder, &component).await.len(), left, "{to}");
    }
}

/// SNS encrypts in the name of whoever publishes.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_the_key_of_a_topic_is_named_before_people_are_told() {
    let Some(ground) = Ground::find().await else { return };
    let name = ground.fresh("told");
    let key = ground.awscli(WEST, &["kms", "create-key"])["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    let attributes = format!("KmsMasterKeyId={key}");
    let made = ground.awscli(WEST, &["sns", "create-topic", "--name", &name, "--attributes", &attributes]);
    let topic = made["TopicArn"].as_str().unwrap().to_owned();
    let people = AwsComponent::Sns(SnsPlan { topic: topic.clone() });
    let holder = role(&ground, &name, &["sns:*"], "*");
    let lacks = found(&ground, &holder, &people).await;
    assert_eq!(lacks.len(), 2, "{lacks:?}");
    let names_it = |f: &Finding| f.message.contains(&key) && f.message.contains("through sns.us-west-2.amazonaws.com");
    assert!(lacks.iter().all(|f| f.code == "PL-0946" && f.severity == Severity::Warning && names_it(f)), "{lacks:?}");

    for (via, left) in [("rds.us-west-2.amazonaws.com", 2), ("sns.us-west-2.amazonaws.com", 0)] {
        let through = json!({"StringEquals": {"kms:ViaService": [via]}});
        let calls = ["kms:GenerateDataKey", "kms:Decrypt"];
        let one = json!({"Effect": "Allow", "Action": calls, "Resource": [key], "Condition": through});
        let policy = json!({"Version": "2012-10-17", "Statement": [one]}).to_string();
        let words =
            ["iam", "put-role-policy", "--role-name", &name, "--policy-name", "k", "--policy-document", &policy];
        ground.awscli(EAST, &words);
        assert_eq!(found(&ground, &holder, &people).await.len(), left, "{via}");
    }
    // AWS's own key asks for nothing; a topic that is not there is said to be unknown.
    let own = ["sns", "set-topic-attributes", "--topic-arn", &topic, "--attribute-name", "KmsMasterKeyId"];
    ground.awscli(WEST, &[&own[..], &["--attribute-value", "alias/aws/sns"]].concat());
    let bare = role(&ground, &ground.fresh("bare"), &["sns:*"], "*");
    assert_eq!(found(&ground, &bare, &people).await, []);
    ground.awscli(WEST, &["sns", "delete-topic", "--topic-arn", &topic]);
    let unknown = found(&ground, &bare, &people).await;
    assert!(unknown.len() == 1 && unknown[0].message.contains("were not simulated"), "{unknown:?}");
}

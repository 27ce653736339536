//! What Terraform makes and reads back, made and asked for by AWS's own client: it is shown as it was made, which moto alone
//! does not do.

use crate::ground::{EAST, Ground, WEST};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/any";

/// Words of a command line, without quotes.
fn aws(ground: &Ground, region: &str, words: &str) -> Value {
    ground.awscli(region, &words.split(' ').collect::<Vec<_>>())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

async fn deploys_take(ground: &Ground, seconds: f64) {
    ground.server.tell("phases", json!({"deploy": seconds})).await.unwrap();
}

async fn accelerator(ground: &Ground) {
    let call = |words: String| aws(ground, WEST, &format!("globalaccelerator {words}"));
    deploys_take(ground, 90_000.0).await;
    let made = call("create-accelerator --name shop --tags Key=application,Value=shop".to_owned());
    let arn = text(&made["Accelerator"]["AcceleratorArn"]);
    assert_eq!(made["Accelerator"]["Status"], "IN_PROGRESS", "{made}");
    deploys_take(ground, 0.0).await;
    let logs = "--flow-logs-enabled --flow-logs-s3-bucket logs --flow-logs-s3-prefix shop";
    call(format!("update-accelerator-attributes --accelerator-arn {arn} {logs}"));
    let attributes = call(format!("describe-accelerator-attributes --accelerator-arn {arn}"));
    let wanted = json!({"FlowLogsEnabled": true, "FlowLogsS3Bucket": "logs", "FlowLogsS3Prefix": "shop"});
    assert_eq!(attributes["AcceleratorAttributes"], wanted);
    assert_eq!(call(format!("list-tags-for-resource --resource-arn {arn}"))["Tags"][0]["Value"], "shop");

    let ports = "FromPort=443,ToPort=443";
    let made = call(format!("create-listener --accelerator-arn {arn} --port-ranges {ports} --protocol TCP"));
    let listener = text(&made["Listener"]["ListenerArn"]);
    let shown = call(format!("describe-listener --listener-arn {listener}"));
    assert_eq!((&shown["Listener"]["Protocol"], &shown["Listener"]["ClientAffinity"]), (&json!("TCP"), &json!("NONE")));

    let checks = "--health-check-protocol HTTPS --health-check-path /health --traffic-dial-percentage 50";
    let endpoint = "EndpointId=arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/1,Weight=128";
    let made = call(format!(
        "create-endpoint-group --listener-arn {listener} --endpoint-group-region eu-west-1 {checks} \
         --endpoint-configurations {endpoint}"
    ));
    let group = text(&made["EndpointGroup"]["EndpointGroupArn"]);
    call(format!("update-endpoint-group --endpoint-group-arn {group} --traffic-dial-percentage 0"));
    let shown = call(format!("describe-endpoint-group --endpoint-group-arn {group}"))["EndpointGroup"].take();
    let kept = ["HealthCheckProtocol", "HealthCheckPath", "TrafficDialPercentage", "ThresholdCount"].map(|k| &shown[k]);
    assert_eq!(kept, [&json!("HTTPS"), &json!("/health"), &json!(0.0), &json!(3)], "{shown}");
    assert_eq!(shown["EndpointDescriptions"][0]["ClientIPPreservationEnabled"], true, "{shown}");
    assert_eq!(call(format!("describe-accelerator --accelerator-arn {arn}"))["Accelerator"]["Status"], "DEPLOYED");
}

fn cache(ground: &Ground) {
    let name = "--replication-group-id cart --replication-group-description cart --num-cache-clusters 2";
    let engine = "--engine valkey --engine-version 7.2 --cache-node-type cache.r6g.large --automatic-failover-enabled";
    let safe = "--transit-encryption-enabled --at-rest-encryption-enabled --cache-subnet-group-name data";
    let made = aws(ground, EAST, &format!("elasticache create-replication-group {name} {engine} {safe}"));
    assert_eq!(made["ReplicationGroup"]["MemberClusters"], json!(["cart-001", "cart-002"]), "{made}");
    let global = "--global-replication-group-id-suffix cart --primary-replication-group-id cart";
    let made = aws(ground, EAST, &format!("elasticache create-global-replication-group {global}"));
    let datastore = text(&made["GlobalReplicationGroup"]["GlobalReplicationGroupId"]);
    assert_eq!(made["GlobalReplicationGroup"]["EngineVersion"], "7.2", "{made}");
    let member = format!("--global-replication-group-id {datastore}");
    aws(ground, WEST, &format!("elasticache create-replication-group {name} {member}"));
    for (region, role) in [(EAST, "PRIMARY"), (WEST, "SECONDARY")] {
        let shown = aws(ground, region, "elasticache describe-replication-groups --replication-group-id cart");
        let group = &shown["ReplicationGroups"][0];
        assert_eq!(group["GlobalReplicationGroupInfo"]["GlobalReplicationGroupMemberRole"], role, "{group}");
        assert_eq!(group["AutomaticFailover"], "enabled", "{group}");
        // What the second member was not told it has from the first.
        let shown = aws(ground, region, "elasticache describe-cache-clusters --cache-cluster-id cart-001");
        let node = &shown["CacheClusters"][0];
        let has = ["Engine", "CacheNodeType", "TransitEncryptionEnabled", "AtRestEncryptionEnabled"].map(|k| &node[k]);
        assert_eq!(has, [&json!("valkey"), &json!("cache.r6g.large"), &json!(true), &json!(true)], "{node}");
    }
}

async fn nodes(ground: &Ground) {
    let made = ground.seed(json!({"networks": [WEST]})).await;
    let subnets: Vec<&str> = made["networks"][WEST]["subnets"].as_array().unwrap().iter().map(text).collect();
    let (spaced, listed) = (subnets.join(" "), subnets.join(","));
    let cluster = format!("--name standby --role-arn {ROLE} --kubernetes-version 1.32");
    let access = "--access-config authenticationMode=API";
    aws(ground, WEST, &format!("eks create-cluster {cluster} {access} --resources-vpc-config subnetIds={listed}"));
    let shown = aws(ground, WEST, "eks describe-cluster --name standby");
    assert_eq!(shown["cluster"]["accessConfig"]["authenticationMode"], "API", "{shown}");

    let disks = "--launch-template-data {\"InstanceType\":\"m6i.large\"}";
    let tags = "--tag-specifications ResourceType=launch-template,Tags=[{Key=application,Value=shop}]";
    aws(ground, WEST, &format!("ec2 create-launch-template --launch-template-name nodes {disks} {tags}"));
    let shown = aws(ground, WEST, "ec2 describe-launch-template-versions --launch-template-name nodes");
    let data = &shown["LaunchTemplateVersions"][0]["LaunchTemplateData"];
    assert_eq!(data, &json!({"InstanceType": "m6i.large"}), "the template's own tags are no part of it");
    let sizes = "--scaling-config minSize=1,maxSize=3,desiredSize=1 --update-config maxUnavailable=1";
    let group = "--cluster-name standby --nodegroup-name general";
    aws(
        ground,
        WEST,
        &format!(
            "eks create-nodegroup {group} --node-role {ROLE} --subnets {spaced} {sizes} --launch-template name=nodes,version=1"
        ),
    );
    let shown = aws(ground, WEST, &format!("eks describe-nodegroup {group}"))["nodegroup"].take();
    assert_eq!((&shown["version"], &shown["updateConfig"]["maxUnavailable"]), (&json!("1.32"), &json!(1)), "{shown}");
    // The launch template has them.
    assert_eq!((&shown["diskSize"], &shown["remoteAccess"]), (&Value::Null, &Value::Null), "{shown}");
    let behind = text(&shown["resources"]["autoScalingGroups"][0]["name"]);
    let words = format!("autoscaling describe-auto-scaling-groups --auto-scaling-group-names {behind}");
    let instances = aws(ground, WEST, &words)["AutoScalingGroups"][0]["Instances"].take();
    assert_eq!(instances.as_array().map(Vec::len), Some(1), "{instances}");
}

fn backup(ground: &Ground) {
    let vault = "backup create-backup-vault --backup-vault-name shop --backup-vault-tags application=shop";
    let made = aws(ground, WEST, vault);
    let tags = aws(ground, WEST, &format!("backup list-tags --resource-arn {}", text(&made["BackupVaultArn"])));
    assert_eq!(tags["Tags"], json!({"application": "shop"}));
    let rule = json!({"RuleName": "every", "TargetBackupVaultName": "shop"});
    let plan = json!({"BackupPlanName": "shop", "Rules": [rule]}).to_string();
    let made = ground.awscli(WEST, &["backup", "create-backup-plan", "--backup-plan", &plan]);
    let id = text(&made["BackupPlanId"]);
    let tag = json!({"ConditionType": "STRINGEQUALS", "ConditionKey": "backup", "ConditionValue": "shop"});
    let wanted = json!({"SelectionName": "shop", "IamRoleArn": ROLE, "ListOfTags": [tag]});
    let words = ["backup", "create-backup-selection", "--backup-plan-id", id, "--backup-selection"];
    let made = ground.awscli(WEST, &[&words[..], &[&wanted.to_string()]].concat());
    let selection = text(&made["SelectionId"]);
    let words = format!("backup get-backup-selection --backup-plan-id {id} --selection-id {selection}");
    assert_eq!(aws(ground, WEST, &words)["BackupSelection"], wanted);
}

/// One server for all of it: most of the time goes into the client's own start.
#[tokio::test(flavor = "multi_thread")]
async fn what_awscli_makes_is_shown_as_it_was_made() {
    let Some(ground) = Ground::find().await else { return };
    accelerator(&ground).await;
    cache(&ground);
    nodes(&ground).await;
    backup(&ground);
}

"""Makes what a test starts from, with AWS's own client library, so that the calls are not ours."""

import datetime
import functools
import hashlib
import json

import boto3

from world import MAKING

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@functools.cache
def client(port, service, region):
    return boto3.client(service, region_name=region, endpoint_url=f"http://127.0.0.1:{port}", **KEYS)


def make(port, wanted):
    MAKING.append(1)
    try:
        return make_all(port, wanted)
    finally:
        MAKING.pop()


def make_all(port, wanted):
    made = {}
    for one in wanted.get("aurora", []):
        aurora(port, one)
    for one in wanted.get("rds", []):
        rds(port, one)
    for one in wanted.get("caches", []):
        made.setdefault("caches", {})[one["name"]] = datastore(port, one)
    for one in wanted.get("buckets", []):
        buckets(port, one)
    for region, name in wanted.get("stores", []):
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client(port, "s3", region).create_bucket(Bucket=name, **where)
    for one in wanted.get("images", []):
        image(port, one)
    for one in wanted.get("ecs", []):
        ecs(port, one)
    for one in wanted.get("groups", []):
        group(port, one)
    for one in wanted.get("needs", []):
        made.setdefault("needs", {})[one["region"]] = needs(port, one)
    for region, alias in wanted.get("keys", []):
        kms = client(port, "kms", region)
        kms.create_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    for one in wanted.get("nodes", []):
        made.setdefault("nodes", {})[one["region"]] = nodes(port, one)
    for one in wanted.get("accelerators", []):
        made.setdefault("accelerators", {})[one["name"]] = accelerator(port, one)
    for one in wanted.get("distributions", []):
        made.setdefault("distributions", {})[one["name"]] = distribution(port, one)
    for name in wanted.get("zones", []):
        route53 = client(port, "route53", "us-east-1")
        zone = route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
        made.setdefault("zones", {})[name] = zone.rsplit("/", 1)[-1]
    for region in wanted.get("networks", []):
        made.setdefault("networks", {})[region] = network(port, region)
    for one in wanted.get("checks", []):
        one = {"name": one} if isinstance(one, str) else one
        made.setdefault("checks", {})[one["name"]] = check(port, one)
    for one in wanted.get("switches", []):
        made.setdefault("switches", {})[one["bucket"]] = switch(port, one, made.get("zones", {}))
    for region, name in wanted.get("topics", []):
        arn = client(port, "sns", region).create_topic(Name=name)["TopicArn"]
        made.setdefault("topics", []).append(arn)
    return made


def aurora(port, one):
    engine = {"Engine": "aurora-postgresql", "EngineVersion": "15.4"}
    first, *others = one["members"]
    rds = client(port, "rds", first[0])
    rds.create_global_cluster(GlobalClusterIdentifier=one["group"], **engine)
    keys = {"MasterUsername": "root", "MasterUserPassword": "not-a-secret"}
    common = {"GlobalClusterIdentifier": one["group"], "DeletionProtection": True, "VpcSecurityGroupIds": ["sg-open"], **engine}
    rds.create_db_cluster(DBClusterIdentifier=first[1], **common, **keys)
    for region, name in others:
        client(port, "rds", region).create_db_cluster(DBClusterIdentifier=name, **common)
    for region, name in one["members"]:
        client(port, "rds", region).create_db_instance(
            DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name, DBInstanceClass="db.r6g.large", Engine=engine["Engine"]
        )


def rds(port, one):
    """An instance, and a read replica in each other region. Which are open is said by the names of their groups."""
    first, *others = one["instances"]
    key = {"StorageEncrypted": True, "KmsKeyId": one["key"]} if "key" in one else {}
    arn = client(port, "rds", first[0]).create_db_instance(
        **key,
        DBInstanceIdentifier=first[1],
        DBInstanceClass="db.r6g.large",
        Engine="postgres",
        EngineVersion="15.4",
        AllocatedStorage=100,
        MasterUsername="root",
        MasterUserPassword="not-a-secret",
        VpcSecurityGroupIds=["sg-open"],
        BackupRetentionPeriod=7,
        DeletionProtection=True,
    )["DBInstance"]["DBInstanceArn"]
    for region, name in others:
        client(port, "rds", region).create_db_instance_read_replica(
            DBInstanceIdentifier=name,
            SourceDBInstanceIdentifier=arn,
            DBInstanceClass="db.r6g.large",
            VpcSecurityGroupIds=["sg-open"],
            DeletionProtection=True,
        )


def datastore(port, one):
    """A replication group in each region; the first is the primary."""
    (first, first_group), *others = one["groups"]
    primary = client(port, "elasticache", first)
    primary.create_replication_group(
        ReplicationGroupId=first_group,
        ReplicationGroupDescription=one["name"],
        Engine="redis",
        CacheNodeType="cache.r6g.large",
        NumCacheClusters=2,
    )
    made = primary.create_global_replication_group(
        GlobalReplicationGroupIdSuffix=one["name"], PrimaryReplicationGroupId=first_group
    )
    name = made["GlobalReplicationGroup"]["GlobalReplicationGroupId"]
    for region, group in others:
        client(port, "elasticache", region).create_replication_group(
            ReplicationGroupId=group,
            ReplicationGroupDescription=one["name"],
            GlobalReplicationGroupId=name,
            NumCacheClusters=2,
        )
    return name


def buckets(port, one):
    """A bucket per region, each with a whole rule to the other; the first one's is enabled."""
    regions = one["regions"]
    for region, name in regions:
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3 = client(port, "s3", region)
        s3.create_bucket(Bucket=name, **where)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for (region, name), (other_region, other), status in zip(regions, reversed(regions), ("Enabled", "Disabled")):
        rule = {**whole_rule(other_region, other), "ID": one.get("rule", "everything"), "Status": status}
        client(port, "s3", region).put_bucket_replication(
            Bucket=name, ReplicationConfiguration={"Role": "arn:aws:iam::123456789012:role/copy", "Rules": [rule]}
        )


def whole_rule(region, bucket):
    return {
        "Priority": 0,
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        "Destination": {
            "Bucket": f"arn:aws:s3:::{bucket}",
            "EncryptionConfiguration": {"ReplicaKmsKeyID": f"arn:aws:kms:{region}:123456789012:key/k"},
            "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
            "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
        },
    }


def image(port, one):
    """An image whose digest follows from its content."""
    ecr = client(port, "ecr", one["region"])
    try:
        ecr.create_repository(repositoryName=one["repository"])
    except ecr.exceptions.RepositoryAlreadyExistsException:
        pass
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": {"digest": one["content"]}})
    # moto would take any digest; AWS's is that of the manifest.
    digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    ecr.put_image(
        repositoryName=one["repository"], imageTag=one["tag"], imageManifest=manifest, imageDigest=digest
    )


def ecs(port, one):
    client_ = client(port, "ecs", one["region"])
    client_.create_cluster(clusterName=one["cluster"])
    container = {"name": "app", "image": one.get("image", "app:1"), "memory": 128}
    client_.register_task_definition(family=one["service"], containerDefinitions=[container])
    client_.create_service(
        cluster=one["cluster"], serviceName=one["service"], taskDefinition=one["service"], desiredCount=one["tasks"]
    )


@functools.cache
def some_image(port, region):
    """The list is long, and any of them will do."""
    return client(port, "ec2", region).describe_images()["Images"][0]["ImageId"]


def group(port, one):
    groups, image = client(port, "autoscaling", one["region"]), some_image(port, one["region"])
    groups.create_launch_configuration(
        LaunchConfigurationName=one["name"], ImageId=image, InstanceType="t3.micro"
    )
    groups.create_auto_scaling_group(
        AutoScalingGroupName=one["name"],
        LaunchConfigurationName=one["name"],
        MinSize=one["least"],
        MaxSize=one["most"],
        DesiredCapacity=one["least"],
        AvailabilityZones=[one["region"] + "a"],
    )


def needs(port, one):
    """What a region needs besides components: a secret, perhaps copied, a key, a certificate valid for so many days."""
    made = {}
    secret = {"Name": one["secret"], "SecretString": "not-a-secret"}
    if "copy" in one:
        secret["AddReplicaRegions"] = [{"Region": one["copy"]}]
    client(port, "secretsmanager", one["region"]).create_secret(**secret)
    if "key" in one:
        kms = client(port, "kms", one["region"])
        made["key"] = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=one["key"], TargetKeyId=made["key"])
    if "days" in one:
        certificate, key = self_signed(one["secret"], one["days"])
        acm = client(port, "acm", one["region"])
        made["certificate"] = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    return made


def self_signed(name, days):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, f"{name}.example.com")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    made = builder.not_valid_after(now + datetime.timedelta(days=days)).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return made.public_bytes(pem), secret


def network(port, region):
    """What is there before an environment: subnets, groups that let in everybody and nobody, a load balancer."""
    ec2, elb = client(port, "ec2", region), client(port, "elbv2", region)
    subnets = ec2.describe_subnets()["Subnets"][:2]
    ids, vpc = [s["SubnetId"] for s in subnets], subnets[0]["VpcId"]
    client(port, "rds", region).create_db_subnet_group(
        DBSubnetGroupName="data", DBSubnetGroupDescription="data", SubnetIds=ids
    )
    client(port, "elasticache", region).create_cache_subnet_group(
        CacheSubnetGroupName="cache", CacheSubnetGroupDescription="cache", SubnetIds=ids
    )
    return {
        "subnets": ids,
        "open": ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],
        "closed": ec2.create_security_group(GroupName="closed", Description="closed", VpcId=vpc)["GroupId"],
        "load_balancer": elb.create_load_balancer(Name="web", Subnets=ids)["LoadBalancers"][0]["LoadBalancerArn"],
        "target_group": elb.create_target_group(Name="web", Protocol="HTTPS", Port=443, VpcId=vpc)["TargetGroups"][0][
            "TargetGroupArn"
        ],
    }


def nodes(port, one):
    """A cluster with a node group; answers the name of the group of its instances."""
    eks = client(port, "eks", one["region"])
    subnets = [s["SubnetId"] for s in client(port, "ec2", one["region"]).describe_subnets()["Subnets"][:2]]
    role = "arn:aws:iam::123456789012:role/eks"
    eks.create_cluster(
        name=one["cluster"],
        roleArn=role,
        version=one.get("version", "1.32"),
        resourcesVpcConfig={"subnetIds": subnets},
    )
    sizes = {"minSize": one["least"], "maxSize": one["most"], "desiredSize": one["least"]}
    made = eks.create_nodegroup(
        clusterName=one["cluster"], nodegroupName=one["group"], scalingConfig=sizes, subnets=subnets, nodeRole=role
    )["nodegroup"]
    return made["resources"]["autoScalingGroups"][0]["name"]


def accelerator(port, one):
    """An endpoint group with one endpoint in each region, all dials open."""
    calls = client(port, "globalaccelerator", "us-west-2")
    made = calls.create_accelerator(Name=one["name"], IdempotencyToken=one["name"])["Accelerator"]["AcceleratorArn"]
    ports = [{"FromPort": 443, "ToPort": 443}]
    listener = calls.create_listener(
        AcceleratorArn=made, PortRanges=ports, Protocol="TCP", IdempotencyToken=one["name"]
    )["Listener"]["ListenerArn"]
    groups = {}
    for region in one["regions"]:
        endpoint = {"EndpointId": f"arn:aws:elasticloadbalancing:{region}:123456789012:loadbalancer/app/{one['name']}"}
        group = calls.create_endpoint_group(
            ListenerArn=listener,
            EndpointGroupRegion=region,
            EndpointConfigurations=[endpoint],
            IdempotencyToken=f"{one['name']}-{region}",
        )
        groups[region] = group["EndpointGroup"]["EndpointGroupArn"]
    return {"listener": listener, "groups": groups}


def distribution(port, one):
    """A distribution of CloudFront with an origin group of these origins, the first one primary."""

    def listed(items):
        return {"Quantity": len(items), "Items": items}

    def origin(name):
        settings = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
        return {"Id": name.split(".")[0], "DomainName": name, "CustomOriginConfig": settings}

    group = {
        "Id": one["name"],
        "FailoverCriteria": {"StatusCodes": listed(one["codes"])},
        "Members": listed([{"OriginId": name.split(".")[0]} for name in one["origins"]]),
    }
    behaviour = {"TargetOriginId": one["name"], "ViewerProtocolPolicy": "https-only"}
    config = {
        "CallerReference": one["name"],
        "Comment": one["name"],
        "Enabled": one.get("enabled", True),
        "Origins": listed([origin(name) for name in one["origins"]]),
        "OriginGroups": listed([group]),
        "DefaultCacheBehavior": {**behaviour, "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"},
    }
    return client(port, "cloudfront", "us-east-1").create_distribution(DistributionConfig=config)["Distribution"]["Id"]


def check(port, one):
    config = {
        "Type": "HTTP",
        "IPAddress": "127.0.0.1",
        "Port": 80,
        "ResourcePath": "/health",
        "RequestInterval": one.get("interval", 10),
        "FailureThreshold": one.get("failures", 3),
    }
    route53 = client(port, "route53", "us-east-1")
    return route53.create_health_check(CallerReference=one["name"], HealthCheckConfig=config)["HealthCheck"]["Id"]


def answer(given):
    """What a record of a switch answers: a value, or an alias that does not look at its target's health."""
    if isinstance(given, str):
        return {"TTL": 60, "ResourceRecords": [{"Value": given}]}
    return {"AliasTarget": {"DNSName": given["name"], "HostedZoneId": given["zone"], "EvaluateTargetHealth": False}}


def switch(port, one, made_zones):
    """A bucket whose one object everybody can read, and its sample, and an inverted health check that asks for it."""
    s3 = client(port, "s3", one["region"])
    where = {} if one["region"] == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": one["region"]}}
    s3.create_bucket(Bucket=one["bucket"], **where)
    arn = f"arn:aws:s3:::{one['bucket']}/{one['object']}"
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": [arn, f"{arn}.sample"]}
    s3.put_bucket_policy(Bucket=one["bucket"], Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    s3.put_object(Bucket=one["bucket"], Key=f"{one['object']}.sample", Body=b"everybody can read this\n")
    config = {
        "Type": "HTTPS",
        "FullyQualifiedDomainName": f"{one['bucket']}.s3.{one['region']}.amazonaws.com",
        "Port": 443,
        "ResourcePath": f"/{one['object']}",
        "RequestInterval": one.get("interval", 10),
        "FailureThreshold": one.get("failures", 3),
        "Inverted": True,
    }
    route53 = client(port, "route53", "us-east-1")
    check = route53.create_health_check(CallerReference=one["bucket"], HealthCheckConfig=config)["HealthCheck"]["Id"]
    if "name" in one:
        zone = made_zones.get(one["zone"], one["zone"])
        records = [
            {
                "Name": one["name"],
                "Type": one.get("type", "A"),
                "SetIdentifier": region,
                **answer(given),
                "Failover": "PRIMARY" if region == one["home"] else "SECONDARY",
                **({"HealthCheckId": check} if region == one["home"] else {}),
            }
            for region, given in one["answers"].items()
        ]
        changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return check

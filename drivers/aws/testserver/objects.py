"""S3 beyond moto: what replication rules copy, late, and what CloudWatch says of it.

moto keeps buckets, objects and rules; it copies nothing. Here each object and each deletion that an enabled rule covers
arrives in the other bucket after the lag, unless one of the regions is down or a test wants it to fail. What was copied is
not copied on. A rule copies new objects only.
"""

import json

import xmltodict
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.exceptions import ReplicationConfigurationNotFoundError
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.s3.responses import S3Response

from clock import CLOCK, PHASES
from database import Refused
from world import LOCK, data_is_up

ACCOUNT = "123456789012"

put_object, delete_object, get_bucket = S3Backend.put_object, S3Backend.delete_object, S3Backend.get_bucket

# What is on its way: source, destination, rule, key, value (None for a deletion), since when.
WAITING = []
# When an object was last put or deleted, and whether it was there before: health checks see it later.
TURNED = {}
# Seconds by the bucket they go to, failures to come and failures that were, by the bucket they come from.
LAGS, TO_FAIL, FAILED = {}, {}, {}


def backend():
    return s3_backends[ACCOUNT]["aws"]


def bucket(name):
    return get_bucket(backend(), name)


def settle():
    """What has arrived is there."""
    with LOCK:
        due = [w for w in WAITING if CLOCK.now() >= w["since"] + lag(w["to"]) and up(w["from"]) and up(w["to"])]
        # Putting asks for the bucket, which comes here again: what is taken is taken once.
        WAITING[:] = [w for w in WAITING if not any(w is d for d in due)]
        for copy in due:
            if copy["value"] is None:
                delete_object(backend(), copy["to"], copy["key"])
            else:
                put_object(backend(), copy["to"], copy["key"], copy["value"])


def up(name):
    return data_is_up(bucket(name).region_name)


def lag(to):
    return LAGS.get(to, PHASES["object-lag"])


def rules(name):
    stored = getattr(bucket(name), "replication", None)
    return stored["Rule"] if stored else []


def is_on(part):
    return isinstance(part, dict) and part.get("Status") == "Enabled"


def copy_on(name, key, value):
    """Each enabled rule that covers it sends it on its way."""
    with LOCK:
        for rule in rules(name):
            prefix = (rule.get("Filter") or {}).get("Prefix") or ""
            if rule["Status"] != "Enabled" or not key.startswith(prefix):
                continue
            if value is None and not is_on(rule.get("DeleteMarkerReplication")):
                continue
            if TO_FAIL.get(name, 0) > 0:
                TO_FAIL[name] -= 1
                FAILED[name] = FAILED.get(name, 0) + 1
                continue
            to = rule["Destination"]["Bucket"].rsplit(":", 1)[-1]
            WAITING.append(
                {"from": name, "to": to, "rule": rule["ID"], "key": key, "value": value, "since": CLOCK.now()}
            )


def turn(name, key):
    was = is_readable(name, key)
    if was is not None:
        TURNED[(name, key)] = (CLOCK.now(), was)


def is_readable(name, key):
    """By everybody; `None` where there is no such bucket."""
    if name not in backend().buckets:
        return None
    found = backend().get_object(name, key)
    if found is None or found.encryption == "aws:kms" or is_closed(bucket(name)):
        return False
    policy = json.loads(bucket(name).policy or b"{}")
    arn = f"arn:aws:s3:::{name}/{key}"
    opens = [s for s in policy.get("Statement", []) if s["Effect"] == "Allow" and s["Principal"] in ("*", {"AWS": "*"})]
    return any(s["Action"] == "s3:GetObject" and arn in listed(s["Resource"]) for s in opens)


def listed(one_or_more):
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


def is_closed(of):
    block = of.public_access_block
    return block is not None and block.restrict_public_buckets


def region_of(name):
    return bucket(name).region_name if name in backend().buckets else "?"


def asked_by_anybody(name, key):
    """What S3 answers to one without credentials: as much of an object that is not there as of one that is closed."""
    if name not in backend().buckets:
        return 404
    return 200 if is_readable(name, key) else 403


def seen_by_checkers(name, key, takes):
    """What checkers outside see: nothing of a region that is down, and a change only after a while."""
    if name not in backend().buckets or not up(name):
        return False
    since, was = TURNED.get((name, key), (-1e9, False))
    return is_readable(name, key) if CLOCK.now() - since >= takes else was


def put_and_copy(self, bucket_name, key_name, value, *args, **kwargs):
    turn(bucket_name, key_name)
    made = put_object(self, bucket_name, key_name, value, *args, **kwargs)
    copy_on(bucket_name, key_name, value)
    return made


def delete_and_copy(self, bucket_name, key_name, version_id=None, bypass=False):
    turn(bucket_name, key_name)
    gone = delete_object(self, bucket_name, key_name, version_id, bypass)
    if version_id is None:
        copy_on(bucket_name, key_name, None)
    return gone


def get_settled_bucket(self, bucket_name):
    settle()
    return get_bucket(self, bucket_name)


def document(root, content):
    """The answer under the name that AWS gives it; moto names it after the call, which AWS's Rust client refuses."""
    return xmltodict.unparse({root: {"@xmlns": "http://s3.amazonaws.com/doc/2006-03-01/", **content}})


def get_bucket_replication(self):
    """The whole of what was put; moto keeps it and answers with a part."""
    stored = self.backend.get_bucket_replication(self.bucket_name)
    if not stored:
        raise ReplicationConfigurationNotFoundError(bucket_name=self.bucket_name)
    return document("ReplicationConfiguration", {k: v for k, v in stored.items() if not k.startswith("@")})


def get_bucket_versioning(self):
    status = self.backend.get_bucket(self.bucket_name).versioning_status
    return document("VersioningConfiguration", {"Status": status} if status else {})


class Store:
    """Rows are objects."""

    def __init__(self):
        self.count = 0

    def write(self, region, name):
        if not data_is_up(region):
            raise Refused(f"{region} does not answer")
        self.count += 1
        backend().put_object(name, f"row-{self.count}", b"x")
        return self.count

    def held(self, region, name):
        if not data_is_up(region):
            raise Refused(f"{region} does not answer")
        settle()
        keys = bucket(name).keys
        live = [key for key in keys if hasattr(keys[key], "size")]
        return [int(key.removeprefix("row-")) for key in live if key.startswith("row-")]


STORE = Store()


def set_lag(given):
    LAGS[given["name"]] = given["seconds"]
    return {}


def fail(given):
    """So many operations on the bucket, those to come, are given up."""
    TO_FAIL[given["name"]] = given["count"]
    return {}


def measured(region, dimensions, of):
    """Of a rule with metrics, asked in the region where AWS publishes it; None where there is no such metric."""
    source, to = dimensions.get("SourceBucket"), dimensions.get("DestinationBucket")
    if source not in backend().buckets or to not in backend().buckets:
        return None
    rule = next((r for r in rules(source) if r["ID"] == dimensions.get("RuleId")), None)
    here = bucket(source if of is failed else to).region_name == region
    if rule is None or not here or not is_on(rule["Destination"].get("Metrics")) or not up(source):
        return None
    settle()
    return of(source, to, [w for w in WAITING if w["from"] == source and w["to"] == to])


def latency(_, to, waiting):
    oldest = max((CLOCK.now() - w["since"] for w in waiting), default=0.0)
    return max(oldest, LAGS.get(to, 0.0))


def pending(_, __, waiting):
    return float(len(waiting))


def failed(source, _, __):
    return float(FAILED.get(source, 0))


def replication_latency(region, dimensions):
    return measured(region, dimensions, latency)


def operations_pending(region, dimensions):
    return measured(region, dimensions, pending)


def operations_failed(region, dimensions):
    return measured(region, dimensions, failed)


def permission_over_tls(self, action, resource):
    """moto asks no statement for its condition, so one that denies what comes without TLS would deny everything. The server
    stands for AWS behind TLS: that statement denies nothing here."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(self.policy.decode())
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    policy["Statement"] = [s for s in statements if s.get("Condition") != {"Bool": {"aws:SecureTransport": "false"}}]
    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)


def install():
    FakeBucket.get_permission = permission_over_tls
    S3Backend.put_object = put_and_copy
    S3Backend.delete_object = delete_and_copy
    S3Backend.get_bucket = get_settled_bucket
    S3Response.get_bucket_replication = get_bucket_replication
    S3Response.get_bucket_versioning = get_bucket_versioning

"""Route 53 beyond moto: changes that take a while, health checks whose status a test sets or that really probe, and
answers: where users would be led now."""

import http.client
import itertools
import re

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.route53.exceptions import InvalidInput
from moto.route53.models import route53_backends
from moto.route53.responses import Route53

import objects
from clock import CLOCK, begin
from world import LOCK

ACCOUNT = "123456789012"
CHANGES = {}
HEALTH = {}
NUMBERS = itertools.count(1)

# How long resolvers keep what an alias answers: its target's time to live, which is 60 s for a load balancer.
ALIAS_TTL = 60

original_change = Route53.change_resource_record_sets


def change_resource_record_sets(self):
    with LOCK:
        refuse_what_aws_refuses(self)
        original_change(self)
        name = f"C{next(NUMBERS):013d}"
        changes = self._get_param("ChangeBatch.Changes")
        CHANGES[name] = begin("change", f"route53:{changes[0]['ResourceRecordSet']['Name'].rstrip('.')}")
        return ActionResult({"ChangeInfo": {"Id": f"/change/{name}", "Status": "PENDING", "SubmittedAt": utcnow()}})


def refuse_what_aws_refuses(self):
    """moto accepts a health check that does not exist."""
    known = self.backend.health_checks
    for change in self._get_param("ChangeBatch.Changes"):
        check = change["ResourceRecordSet"].get("HealthCheckId")
        if check and check not in known:
            raise InvalidInput(f"The specified health check does not exist: {check}")


def get_change(self):
    name = self._get_param("Id").rsplit("/", 1)[-1]
    done = CLOCK.now() >= CHANGES.get(name, 0)
    info = {"Id": f"/change/{name}", "Status": "INSYNC" if done else "PENDING", "SubmittedAt": utcnow()}
    return ActionResult({"ChangeInfo": info})


def get_health_check_status(self):
    check = self.backend.get_health_check(self._get_param("HealthCheckId"))
    word = {True: "Success: HTTP Status Code 200, OK", False: "Failure: HTTP Status Code 503", None: "Unknown"}
    observations = [
        {
            "Region": region,
            "IPAddress": "127.0.0.1",
            "StatusReport": {"Status": word[is_healthy(check)], "CheckedTime": utcnow()},
        }
        for region in ("us-east-1", "eu-west-1", "ap-southeast-1")
    ]
    return ActionResult({"HealthCheckObservations": observations})


def set_health(check, given):
    HEALTH[check] = {**given, "since": CLOCK.now(), "was": HEALTH.get(check, {}).get("status", "ok")}
    return HEALTH[check]


def takes(check):
    """Modelled seconds until checkers have seen the same as often in a row as the check asks for."""
    return float(check.request_interval) * float(check.failure_threshold)


def is_healthy(check):
    """True, False, or None for unknown. A change shows only when the checkers have seen it often enough."""
    inverted = check.inverted in (True, "true")
    if check.disabled in (True, "true"):
        return not inverted
    asked = re.fullmatch(r"(.+?)\.s3\.[a-z0-9-]+\.amazonaws\.com", check.fqdn or "")
    if asked and check.id not in HEALTH:
        readable = objects.seen_by_checkers(asked[1], (check.resource_path or "/").lstrip("/"), takes(check))
        return readable != inverted
    state = HEALTH.get(check.id, {"status": "ok", "was": "ok", "since": -1e9})
    word = state["status"] if CLOCK.now() - state["since"] >= takes(check) else state["was"]
    healthy = {"ok": True, "fail": False, "probe": None}.get(word)
    if word == "probe":
        healthy = probe(check)
    if healthy is not None and inverted:
        return not healthy
    return healthy


def probe(check):
    try:
        connection = http.client.HTTPConnection(check.ip_address or check.fqdn, int(check.port or 80), timeout=2)
        connection.request("GET", check.resource_path or "/")
        return 200 <= connection.getresponse().status < 400
    except OSError:
        return False


def resolve(name):
    """Every answer users may get now: by weight, by failover, without the unhealthy ones while others are left."""
    wanted = name.rstrip(".") + "."
    backend = route53_backends[ACCOUNT]["aws"]
    sets = [s for zone in backend.zones.values() for s in zone.rrsets if s.name == wanted and s.type in ("A", "CNAME")]

    def good(record):
        check = backend.health_checks.get(record.health_check_id) if record.health_check_id else None
        return check is None or is_healthy(check) is not False

    primary = [s for s in sets if s.failover == "PRIMARY"]
    if primary:
        chosen = primary if good(primary[0]) else [s for s in sets if s.failover == "SECONDARY"]
    else:
        weighted = [s for s in sets if s.weight is None or int(s.weight) > 0] or sets
        chosen = [s for s in weighted if good(s)] or weighted
    return [{"set": s.set_identifier, "values": values(s), "ttl": ttl(s)} for s in chosen]


def ttl(record):
    """How long resolvers keep the answer, in modelled seconds."""
    return ALIAS_TTL if record.alias_target else int(record.ttl)


def values(record):
    if record.alias_target:
        return [record.alias_target.get("DNSName")]
    return list(record.records)


def install():
    for call in (change_resource_record_sets, get_change, get_health_check_status):
        setattr(Route53, call.__name__, call)

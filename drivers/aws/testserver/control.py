"""The control endpoint, `/pilotlight/...`: what a test does to the modelled world, and what it sees past the driver."""

import json
import urllib.parse

from moto.secretsmanager.models import secretsmanager_backends

import accelerators
import account
import backups
import cache
import compute
import database
import dns
import members
import nodes
import objects
import rates
import rollouts
import seed
from clock import CLOCK, PHASES, TAKEN
from world import LOCK, region

ACCOUNT = "123456789012"


def answer(environ, start_response, calls, faults):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = json.loads(environ["wsgi.input"].read(size) or b"{}")
    query = {k: v[0] for k, v in urllib.parse.parse_qs(environ.get("QUERY_STRING", "")).items()}
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix("/pilotlight/")
    status = 200
    if (method, path) == ("POST", "seed"):
        # Calls come in through the door like everybody's, so nothing may be locked meanwhile.
        try:
            return write(start_response, 200, seed.make(int(environ["SERVER_PORT"]), body))
        except Exception as failed:  # a test is told why instead of a page of HTML
            return write(start_response, 409, {"why": f"cannot be made: {failed!r}"})
    with LOCK:
        try:
            reply = route(method, path, {**query, **body}, calls, faults)
        except Refused as refused:
            status, reply = 409, {"why": str(refused)}
        except KeyError as missing:
            status, reply = 404, {"why": f"nothing is known of {missing}"}
    return write(start_response, status, reply)


def write(start_response, status, reply):
    data = json.dumps(reply).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    start_response(f"{status} {'OK' if status == 200 else 'No'}", headers)
    return [data]


Refused = database.Refused


def route(method, path, given, calls, faults):
    match (method, path.split("/")):
        case ("POST", ["faults"]):
            faults.append(given)
            return {}
        case ("DELETE", ["faults"]):
            faults.clear()
            return {}
        case ("POST", ["rates"]):
            rates.SET.update(given)
            return {}
        case ("GET", ["rates"]):
            return rates.shown()
        case ("DELETE", ["rates"]):
            return rates.forget()
        case ("POST", ["phases"]):
            PHASES.update(given)
            return {}
        case ("GET", ["phases"]):
            since = float(given.get("since", 0))
            return [p for p in TAKEN if p["began"] >= since]
        case ("POST", ["regions", name]):
            database.before_change_of(name)
            cache.before_change_of()
            objects.settle()
            region(name).update(given)
            database.after_change_of(name)
            return region(name)
        case ("GET", ["calls"]):
            since = float(given.get("since", 0))
            return [c for c in calls if c["at"] >= since]
        case ("GET", ["time"]):
            return {"now": CLOCK.now(), "speed": CLOCK.speed}
        case ("POST", ["speed"]):
            CLOCK.set(float(given["speed"]))
            return {"now": CLOCK.now(), "speed": CLOCK.speed}
        case ("POST", ["later"]):
            CLOCK.skip(float(given["seconds"]))
            return {"now": CLOCK.now(), "speed": CLOCK.speed}
        case ("POST", ["write"]):
            return {"number": store(given).write(given["region"], given["name"])}
        case ("GET", ["held"]):
            return {"numbers": store(given).held(given["region"], given["name"])}
        case ("GET", ["dns"]):
            return dns.resolve(given["name"])
        case ("GET", ["led-to"]):
            return accelerators.led_to(given)
        case ("POST", ["by-hand", "endpoint-group"]):
            return accelerators.update_endpoint_group(given)
        case ("POST", ["health", check]):
            return dns.set_health(check, given)
        case ("POST", ["by-hand", "switchover"]):
            return database.by_hand(given)
        case ("POST", ["by-hand", "stop-instance"]):
            return database.stop_by_hand(given)
        case ("GET", ["clusters"]):
            return members.shown(given)
        case ("POST", ["by-hand", "forget-clusters"]):
            return members.forget(given["name"])
        case ("POST", ["by-hand", "forget-instances"]):
            return database.forget(given["name"])
        case ("POST", ["by-hand", "node-group"]):
            return nodes.by_hand(given)
        case ("POST", ["by-hand", "cluster-version"]):
            return nodes.version_by_hand(given)
        case ("POST", ["backups"]):
            return backups.set_age(given)
        case ("POST", ["quotas"]):
            return account.set_quota(given)
        case ("POST", ["by-hand", "secret-copy"]):
            return secret_copy(given)
        case ("POST", ["lag"]):
            return STORES[given.get("store")].set_lag(given)
        case ("POST", ["fail-copies"]):
            return objects.fail(given)
        case ("POST", ["lose-tasks"]):
            return compute.lose_tasks(given["region"], given["cluster"], given["service"], int(given["count"]))
        case ("POST", ["fail-rollouts"]):
            return rollouts.fail(given)
        case ("GET", ["running"]):
            return compute.running(given)
    raise KeyError(path)


def secret_copy(given):
    """The state that AWS shows of the copy of a secret."""
    secret = secretsmanager_backends[ACCOUNT][given["region"]].secrets[given["secret"]]
    for copy in (c for c in secret.replicas if c.region == given["copy"]):
        copy.config.update({"Status": given["status"], "StatusMessage": given["why"]})
        return copy.config
    raise KeyError(given["copy"])


# What holds rows, by the word of a test.
STORES = {None: database, "cache": cache, "objects": objects}


def store(given):
    return STORES[given.get("store")].STORE

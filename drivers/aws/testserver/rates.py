"""How often each API is called, and what is refused because it is called too often.

Where AWS publishes a rate it is kept here as AWS does it: a bucket of so many calls that is filled again at a rate, per
account and region. A test may set others. Rates are of real time, since a caller paces itself by its own clock.
"""

import collections
import time

from world import LOCK

# Service to its buckets: the calls of ours that draw from it (None: every call), calls a second, and how many at once.
# ECS: "Request throttling for the Amazon ECS API", cluster service resource modify and read actions. Route 53: "Quotas",
# five requests a second per account. CloudWatch: "CloudWatch service quotas", default quotas of each API. Of RDS and Auto
# Scaling AWS publishes nothing; those of the others (STS, SNS, KMS and more) are not kept here.
PUBLISHED = {
    "ecs": [({"UpdateService"}, 5.0, 50.0), ({"DescribeServices"}, 20.0, 100.0)],
    "monitoring": [
        ({"DescribeAlarms"}, 9.0, 9.0),
        ({"GetMetricStatistics"}, 400.0, 400.0),
        ({"PutMetricData"}, 500.0, 500.0),
    ],
    "route53": [(None, 5.0, 5.0)],
}
# What a test has set instead, by service or by `service:action`.
SET = {}
LEVELS = {}
COUNTS = collections.defaultdict(lambda: {"calls": 0, "throttled": 0, "peak": 0, "lately": collections.deque()})


def bucket(call):
    """The name of the call's bucket, its rate and its size; None where there is none."""
    service, action = call["service"], call["action"]
    for name in (f"{service}:{action}", service):
        if name in SET:
            return f"{name} in {call['region']}", float(SET[name]), float(SET[name])
    for number, (actions, rate, size) in enumerate(PUBLISHED.get(service, [])):
        if actions is None or action in actions:
            return f"{service} {number} in {call['region']}", rate, size
    return None


def is_too_often(call):
    """Counts the call, and takes it out of its bucket if there is one left."""
    with LOCK:
        now = time.monotonic()
        count = COUNTS[f"{call['service']}:{call['action']} in {call['region']}"]
        count["calls"] += 1
        count["bucket"] = bucket(call)
        lately = count["lately"]
        lately.append(now)
        while lately[0] <= now - 1.0:
            lately.popleft()
        count["peak"] = max(count["peak"], len(lately))
        if count["bucket"] is None:
            return False
        name, rate, size = count["bucket"]
        level, at = LEVELS.get(name, (size, now))
        level = min(size, level + (now - at) * rate)
        allowed = level >= 1.0
        LEVELS[name] = (level - 1.0 if allowed else level, now)
        count["throttled"] += not allowed
        return not allowed


def shown():
    return [
        {
            "name": name,
            "calls": count["calls"],
            "throttled": count["throttled"],
            "peak": count["peak"],
            "published": list(count["bucket"][1:]) if count["bucket"] else None,
        }
        for name, count in sorted(COUNTS.items())
    ]


def forget():
    """Counts anew."""
    COUNTS.clear()
    return {}

"""CloudWatch's alarms: their state follows the data that were put, by the rules of AWS's manual ("Configuring how CloudWatch alarms
treat missing data"). moto leaves it as it was set.

An alarm is evaluated when somebody asks for it. Periods are modelled seconds; the one under way is not looked at. A state
that is set by hand stands until the next evaluation, a minute or a period later. What nobody ever put data for is left as it was
set; alarms on metrics that AWS publishes, on expressions and on other alarms are not evaluated.
"""

import datetime
import json
import math

from moto.cloudwatch.models import CloudWatchBackend, MetricAggregatedDatum
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.utils import utcnow

from clock import CLOCK
from world import LOCK

# CloudWatch looks back a little further than the alarm says, for data where some are missing.
FURTHER = 2

COMPARED = {
    "GreaterThanThreshold": (float.__gt__, "greater than"),
    "GreaterThanOrEqualToThreshold": (float.__ge__, "greater than or equal to"),
    "LessThanThreshold": (float.__lt__, "less than"),
    "LessThanOrEqualToThreshold": (float.__le__, "less than or equal to"),
}

ORIGIN = utcnow()
# Alarm to the modelled moment at which its state was set by hand.
SET = {}


def modelled(at):
    if at.tzinfo is not None:
        at = at.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return (at - ORIGIN).total_seconds() * CLOCK.speed


def state(points, wanted, most, missing, was):
    """The state by what is known of the newest periods, oldest first: True is beyond the threshold, None is missing.

    `wanted` of the newest `most` have to be beyond it. See the tables in the manual.
    """
    known = [p for p in points if p is not None][-most:]
    lacking = most - len(known)
    beyond = sum(known)
    if lacking == 0 or missing == "notBreaching":
        return "ALARM" if beyond >= wanted else "OK"
    if missing == "breaching":
        return "ALARM" if beyond + lacking >= wanted else "OK"
    if beyond >= wanted:
        return "ALARM"
    if not known:
        return was if missing == "ignore" else "INSUFFICIENT_DATA"
    if not all(known):
        return "OK"
    # All that is known is beyond it, and too little is known. An old one is enough, if nothing newer speaks against it.
    oldest = len(points) - points.index(True)
    return "ALARM" if missing == "missing" and oldest >= wanted else was


def of_alarm(backend, alarm):
    """The data that were put for its metric."""
    dimensions = {(d.name, d.value) for d in alarm.dimensions}

    def fits(datum):
        return (
            (datum.namespace, datum.name) == (alarm.namespace, alarm.metric_name)
            and {(d.name, d.value) for d in datum.dimensions} == dimensions
            and alarm.unit in (None, datum.unit)
        )

    return [datum for datum in backend.metric_data if fits(datum)]


def values(datum):
    """Least, most, count and sum."""
    if isinstance(datum, MetricAggregatedDatum):
        return datum.min, datum.max, datum.sample_count, datum.sum
    return datum.value, datum.value, 1.0, datum.value


def statistic(alarm, data):
    least, most, counts, sums = zip(*(values(datum) for datum in data))
    match alarm.statistic:
        case "Minimum":
            return min(least)
        case "Maximum":
            return max(most)
        case "SampleCount":
            return sum(counts)
        case "Sum":
            return sum(sums)
        case "Average":
            return sum(sums) / sum(counts)
    rank = float(alarm.extended_statistic.removeprefix("p")) / 100 * len(data)
    return sorted(most)[max(0, math.ceil(rank) - 1)]


def evaluate(backend, alarm):
    if alarm.rule is not None or alarm.metric_data_queries or alarm.comparison_operator not in COMPARED:
        return
    now, period = modelled(utcnow()), float(alarm.period)
    if now < SET.get(alarm.alarm_arn, -math.inf) + min(period, 60.0):
        return
    data = of_alarm(backend, alarm)
    if not data:
        return
    most = int(alarm.evaluation_periods)
    wanted = int(alarm.datapoints_to_alarm or most)
    by_period = {}
    for datum in data:
        by_period.setdefault(math.floor(modelled(datum.timestamp) / period), []).append(datum)
    newest = math.floor(now / period)
    periods = [by_period.get(n) for n in range(newest - most - FURTHER, newest)]
    numbers = [statistic(alarm, found) if found else None for found in periods]
    is_beyond, words = COMPARED[alarm.comparison_operator]
    threshold = float(alarm.threshold)
    points = [None if n is None else is_beyond(float(n), threshold) for n in numbers]
    becomes = state(points, wanted, most, alarm.treat_missing_data or "missing", alarm.state_value)
    if becomes != alarm.state_value:
        seen = [n for n in numbers if n is not None][-most:]
        why = f"Threshold Crossed: {points.count(True)} of {most} datapoints {seen} were {words} the threshold ({threshold})."
        if becomes == "ALARM" and not seen:
            why = f"Threshold Crossed: no datapoints were received for {most} periods and missing ones were treated as breaching."
        elif becomes == "INSUFFICIENT_DATA":
            why = f"Insufficient Data: {most} datapoints were unknown."
        elif becomes == "OK":
            why = f"Threshold Crossed: fewer than {wanted} of {most} datapoints {seen} were {words} the threshold ({threshold})."
        reason = json.dumps({"version": "1.0", "recentDatapoints": seen, "threshold": threshold})
        alarm.update_state(why, reason, becomes)


original_describe = CloudWatchResponse.describe_alarms
original_set = CloudWatchBackend.set_alarm_state
original_put = CloudWatchBackend.put_metric_alarm


def describe_alarms(self):
    with LOCK:
        for alarm in self.cloudwatch_backend.alarms.values():
            evaluate(self.cloudwatch_backend, alarm)
        return original_describe(self)


def set_alarm_state(self, alarm_name, *rest):
    with LOCK:
        original_set(self, alarm_name, *rest)
        SET[self.alarms[alarm_name].alarm_arn] = modelled(utcnow())


def put_metric_alarm(self, name, *rest, **named):
    """A new alarm has no data yet, and one that is changed stays in its state; moto's are always OK."""
    was = self.alarms.get(name)
    alarm = original_put(self, name, *rest, **named)
    alarm.state_value = was.state_value if was else "INSUFFICIENT_DATA"
    return alarm


def install():
    CloudWatchBackend.put_metric_alarm = put_metric_alarm
    CloudWatchResponse.describe_alarms = describe_alarms
    CloudWatchBackend.set_alarm_state = set_alarm_state

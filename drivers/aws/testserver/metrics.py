"""CloudWatch beyond moto: metrics that AWS publishes by itself are made when they are asked for.

AWS has one value a minute, some minutes late; here there is one, of this moment, and of a replica whose source was lost also
the last one from before.
"""

import datetime

from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

import cache
import database
import objects
from clock import CLOCK
from world import LOCK

original = CloudWatchResponse.get_metric_statistics


def replica_lag(region, dimensions):
    return database.lag_by_name(region, dimensions.get("DBInstanceIdentifier"))


def aurora_lag(region, dimensions):
    """Published by source only, as AWS's console lists it."""
    return database.aurora_lag(region, dimensions.get("DBClusterIdentifier"), dimensions.get("SourceRegion"))


def points_before(name, region, dimensions):
    """What was published before now, as values and how many modelled seconds ago."""
    if name == "ReplicaLag":
        last = database.last_lag(region, dimensions.get("DBInstanceIdentifier"))
        return [last] if last else []
    if name == "AuroraGlobalDBReplicationLag" and "SourceRegion" in dimensions:
        last = database.last_lag(region, dimensions.get("DBClusterIdentifier"))
        return [(last[0] * 1000.0, last[1])] if last else []
    return []


# Namespace and name to what is asked for its value: region and dimensions, to a number or None.
MODELLED = {
    ("AWS/RDS", "ReplicaLag"): replica_lag,
    ("AWS/RDS", "AuroraGlobalDBReplicationLag"): aurora_lag,
    ("AWS/ElastiCache", "GlobalDatastoreReplicationLag"): cache.replication_lag,
    ("AWS/S3", "ReplicationLatency"): objects.replication_latency,
    ("AWS/S3", "OperationsPendingReplication"): objects.operations_pending,
    ("AWS/S3", "OperationsFailedReplication"): objects.operations_failed,
}


def get_metric_statistics(self):
    ask = MODELLED.get((self._get_param("Namespace"), self._get_param("MetricName")))
    if ask is None:
        return original(self)
    dimensions = {d["Name"]: d["Value"] for d in self._get_param("Dimensions", [])}
    with LOCK:
        value = ask(self.region, dimensions)
        before = points_before(self._get_param("MetricName"), self.region, dimensions)
    values = before + ([(value, 0.0)] if value is not None else [])
    points = [point(value, ago) for value, ago in values]
    return ActionResult({"Label": self._get_param("MetricName"), "Datapoints": points})


def point(value, ago):
    at = utcnow() - datetime.timedelta(seconds=ago / CLOCK.speed)
    return {"Timestamp": at, "Maximum": value, "Average": value, "Sum": value, "Unit": "Seconds"}


def install():
    CloudWatchResponse.get_metric_statistics = get_metric_statistics

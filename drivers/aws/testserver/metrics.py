"""CloudWatch beyond moto: metrics that AWS publishes by itself are made when they are asked for.

AWS has one value a minute, some minutes late; here there is one, of this moment.
"""

from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

import cache
import database
import objects
from world import LOCK

original = CloudWatchResponse.get_metric_statistics


def replica_lag(region, dimensions):
    return database.lag_by_name(region, dimensions.get("DBInstanceIdentifier"))


# Namespace and name to what is asked for its value: region and dimensions, to a number or None.
MODELLED = {
    ("AWS/RDS", "ReplicaLag"): replica_lag,
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
    points = []
    if value is not None:
        points = [{"Timestamp": utcnow(), "Maximum": value, "Average": value, "Sum": value, "Unit": "Seconds"}]
    return ActionResult({"Label": self._get_param("MetricName"), "Datapoints": points})


def install():
    CloudWatchResponse.get_metric_statistics = get_metric_statistics

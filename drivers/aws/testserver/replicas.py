"""Read replicas of RDS beyond moto, which copies the whole source: AWS gives a replica in another region the defaults of
what nobody asks for, its own groups, and takes a parameter group for it from some engines only.

What moto keeps under the names of a request is shown under those of an answer.
"""

from moto.rds import models
from moto.rds.exceptions import RDSClientError

DEFAULTS = {
    "enable_iam_database_authentication": False,
    "copy_tags_to_snapshot": False,
    "monitoring_interval": 0,
    "monitoring_role_arn": None,
    "enable_performance_insights": False,
    "performance_insights_kms_key_id": None,
    "performance_insights_retention_period": None,
    "db_parameter_group_name": None,
    "ca_certificate_identifier": "rds-ca-rsa2048-g1",
}
# What the parameter group of a replica in another region may be asked for with, and AWS's words for what else, by which
# Terraform knows that it has to set the group afterwards.
GROUPED = ("mysql", "oracle")
NO_GROUP = "A parameter group can't be specified during Read Replica creation for the following DB engine: "


def replica_of(original):
    def create(self, given):
        source = self.find_db_from_id(given["source_db_instance_identifier"])
        elsewhere = source.region != self.region_name
        if elsewhere and given.get("db_parameter_group_name") and not source.engine.startswith(GROUPED):
            raise RDSClientError("InvalidParameterCombination", NO_GROUP + source.engine)
        role, interval = given.get("monitoring_role_arn"), int(given.get("monitoring_interval") or 0)
        if bool(role) != bool(interval):
            raise RDSClientError("InvalidParameterCombination", "monitoring wants a role and an interval")
        copy = original(self, given)
        for name, value in DEFAULTS.items():
            asked = given.get(name)
            setattr(copy, name, value if asked is None else asked)
        copy.enabled_cloudwatch_logs_exports = list(given.get("enable_cloudwatch_logs_exports") or [])
        copy.max_allocated_storage = given.get("max_allocated_storage") or copy.allocated_storage
        copy.option_group_name = given.get("option_group_name") or f"default:{copy.engine}"
        return copy

    return create


def install():
    backend, instance = models.RDSBackend, models.DBInstance
    backend.create_db_instance_read_replica = replica_of(backend.create_db_instance_read_replica)
    instance.performance_insights_enabled = property(lambda self: getattr(self, "enable_performance_insights", False))

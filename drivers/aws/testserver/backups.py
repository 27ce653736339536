"""Snapshots of instances that take a while, and automated backups that AWS copies to another region, beyond moto.

A test says which backups are where, and how old the newest moment is to which they can be restored.
"""

import datetime

from moto.core.responses import ActionResult
from moto.rds import models
from moto.rds.exceptions import DBInstanceNotFoundError, RDSClientError
from moto.rds.models import rds_backends
from moto.rds.responses import RDSResponse

import database
from clock import CLOCK, PHASES, begin
from world import LOCK, data_is_up

ACCOUNT = database.ACCOUNT

# Started by a call: where to, of which instance, and when it goes. It goes on when the instance is renamed.
STARTED = []
# (region, ARN of the source) to the age in seconds of the newest restorable moment.
AGES = {}


def create_db_snapshot(original):
    def create(self, db_instance_identifier, db_snapshot_identifier, snapshot_type="manual", *args, **kwargs):
        if snapshot_type != "manual":
            return original(self, db_instance_identifier, db_snapshot_identifier, snapshot_type, *args, **kwargs)
        database.settle_all()
        copy = self.databases.get(db_instance_identifier)
        if copy is None:
            raise DBInstanceNotFoundError(db_instance_identifier)
        if copy.status != "available":
            raise RDSClientError("InvalidDBInstanceState", f"{db_instance_identifier} is {copy.status}")
        made = original(self, db_instance_identifier, db_snapshot_identifier, snapshot_type, *args, **kwargs)
        made.status, made.percent_progress = "creating", 0
        made.pilotlight_until = begin("snapshot", f"rds:{db_snapshot_identifier}")
        copy.status = "backing-up"
        copy.pilotlight_busy_until, copy.pilotlight_then = made.pilotlight_until, None
        return made

    return create


def describe_db_snapshots(original):
    def look(self, *args, **kwargs):
        for snapshot in self.database_snapshots.values():
            until = getattr(snapshot, "pilotlight_until", None)
            if until is None:
                continue
            done = 1.0 - max(0.0, until - CLOCK.now()) / max(PHASES["snapshot"], 1e-9)
            snapshot.percent_progress = min(100, max(0, int(done * 100)))
            snapshot.status = "available" if CLOCK.now() >= until else "creating"
        return original(self, *args, **kwargs)

    return look


def set_age(given):
    if given["age"] is None:
        AGES.pop((given["region"], given["source"]), None)
    else:
        AGES[(given["region"], given["source"])] = given["age"]
    return {}


def source_of(self):
    arn = self.params["SourceDBInstanceArn"]
    copy = rds_backends[ACCOUNT][arn.split(":")[3]].databases.get(arn.split(":")[-1])
    if copy is None:
        raise DBInstanceNotFoundError(arn)
    return copy


def shown(started):
    copy, due = started["copy"], CLOCK.now() >= started["due"]
    shown = {
        "DBInstanceArn": copy.db_instance_arn,
        "DBInstanceIdentifier": copy.db_instance_identifier,
        "DbiResourceId": copy.dbi_resource_id,
        "Region": copy.region,
        "BackupRetentionPeriod": started["days"],
        "Status": started["status"] or ("replicating" if due else "pending"),
    }
    if due:
        now = datetime.datetime.now(datetime.timezone.utc)
        window = {"EarliestTime": now - datetime.timedelta(days=1), "LatestTime": now - datetime.timedelta(minutes=5)}
        shown["RestoreWindow"] = window
    return shown


def start_db_instance_automated_backups_replication(self):
    with LOCK:
        database.settle_all()
        copy = source_of(self)
        if not data_is_up(copy.region):
            raise RDSClientError("InvalidDBInstanceState", f"{copy.region} is not reachable")
        if copy.region == self.region or not int(copy.backup_retention_period or 0):
            raise RDSClientError("InvalidParameterCombination", "no backups, or of the same region")
        if any(s["copy"] is copy and s["region"] == self.region and not s["status"] for s in STARTED):
            raise RDSClientError("InvalidDBInstanceState", "replicated already")
        days = int(self.params.get("BackupRetentionPeriod") or 7)
        due = begin("snapshot", f"rds:backups-{copy.db_instance_identifier}")
        STARTED.append({"copy": copy, "region": self.region, "days": days, "due": due, "status": None})
        return ActionResult({"DBInstanceAutomatedBackup": shown(STARTED[-1])})


def stop_db_instance_automated_backups_replication(self):
    with LOCK:
        copy = source_of(self)
        for one in STARTED:
            if one["copy"] is copy and one["region"] == self.region and not one["status"]:
                one["status"] = "retained"
                return ActionResult({"DBInstanceAutomatedBackup": shown(one)})
        raise RDSClientError("InvalidDBInstanceState", "not replicated")


def describe_db_instance_automated_backups(self):
    resource = self.params.get("DbiResourceId")
    name, now = self.params.get("DBInstanceIdentifier"), datetime.datetime.now(datetime.timezone.utc)
    with LOCK:
        found = [
            {
                "DBInstanceArn": source,
                "DBInstanceIdentifier": source.split(":")[-1],
                "Region": source.split(":")[3],
                "Status": "replicating",
                "RestoreWindow": {
                    "EarliestTime": now - datetime.timedelta(days=7),
                    "LatestTime": now - datetime.timedelta(seconds=age),
                },
            }
            for (region, source), age in AGES.items()
            if region == self.region and name in (None, source.split(":")[-1]) and resource is None
        ]
        for one in STARTED:
            copy = one["copy"]
            named = name in (None, copy.db_instance_identifier) and resource in (None, copy.dbi_resource_id)
            if one["region"] == self.region and named:
                found.append(shown(one))
    return ActionResult({"DBInstanceAutomatedBackups": found})


def install():
    backend = models.RDSBackend
    backend.create_db_snapshot = create_db_snapshot(backend.create_db_snapshot)
    backend.describe_db_snapshots = describe_db_snapshots(backend.describe_db_snapshots)
    for call in (
        describe_db_instance_automated_backups,
        start_db_instance_automated_backups_replication,
        stop_db_instance_automated_backups_replication,
    ):
        setattr(RDSResponse, call.__name__, call)

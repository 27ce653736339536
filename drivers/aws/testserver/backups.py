"""Snapshots of instances that take a while, and automated backups that AWS copies to another region, beyond moto.

A test says which backups are where, and how old the newest moment is to which they can be restored.
"""

import datetime

from moto.core.responses import ActionResult
from moto.rds import models
from moto.rds.exceptions import DBInstanceNotFoundError, RDSClientError
from moto.rds.responses import RDSResponse

import database
from clock import CLOCK, PHASES, begin
from world import LOCK

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


def describe_db_instance_automated_backups(self):
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
            if region == self.region and name in (None, source.split(":")[-1])
        ]
    return ActionResult({"DBInstanceAutomatedBackups": found})


def install():
    backend = models.RDSBackend
    backend.create_db_snapshot = create_db_snapshot(backend.create_db_snapshot)
    backend.describe_db_snapshots = describe_db_snapshots(backend.describe_db_snapshots)
    RDSResponse.describe_db_instance_automated_backups = describe_db_instance_automated_backups

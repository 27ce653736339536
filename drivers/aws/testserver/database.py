"""RDS beyond moto: global clusters that switch and fail over in phases, detach, promotion of replicas, and rows.

moto keeps clusters and instances; this file adds what happens to them over time. Every look first settles what has
become due. The rows of a cluster are numbers that a test writes past the driver: they show what was acknowledged,
what a copy holds, and what an unplanned failover loses.
"""

import itertools

from moto.core.responses import ActionResult
from moto.rds import models
from moto.rds.exceptions import DBClusterNotFoundError, InvalidGlobalClusterStateFault, RDSClientError
from moto.rds.models import DBCluster, GlobalCluster, rds_backends
from moto.rds.responses import RDSResponse

from clock import CLOCK, PHASES, begin
from world import LOCK, data_is_up

ACCOUNT = "123456789012"


class Refused(Exception):
    """A write was not acknowledged."""


class Store:
    """Rows by ARN: what was acknowledged where, and when."""

    def __init__(self):
        self.rows = {}
        self.count = 0
        self.names = itertools.count(1)

    def key(self, copy):
        """Rows stay with an instance that is renamed, and do not come to another that takes its name."""
        return copy.__dict__.setdefault("pilotlight_key", next(self.names))

    def write(self, region, name):
        settle_all()
        copy = find(region, name)
        if not data_is_up(region):
            raise Refused(f"{region} does not answer")
        if not writes(copy):
            raise Refused(f"{name} is read only")
        self.count += 1
        self.rows.setdefault(self.key(copy), []).append((self.count, CLOCK.now()))
        return self.count

    def held(self, region, name):
        settle_all()
        if not data_is_up(region):
            raise Refused(f"{region} does not answer")
        return [number for number, _ in self.of(find(region, name))]

    def of(self, copy):
        """The rows a copy shows: its own, or its source's as of the lag."""
        source = source_of(copy)
        if source is None or not data_is_up(copy.region):
            return self.rows.setdefault(self.key(copy), [])
        if getattr(copy, "pilotlight_resync_until", None) or not data_is_up(source.region):
            return self.rows.setdefault(self.key(copy), [])
        seen = [row for row in self.of(source) if row[1] <= CLOCK.now() - lag_of(copy)]
        self.rows[self.key(copy)] = seen
        return seen


STORE = Store()


def find(region, name):
    backend = rds_backends[ACCOUNT][region]
    return backend.clusters.get(name) or backend.databases[name]


def global_of(cluster):
    for group in rds_backends[ACCOUNT]["us-east-1"].global_clusters.values():
        if cluster in group.members:
            return group
    return None


def source_of(copy):
    if isinstance(copy, DBCluster):
        group = global_of(copy)
        if group is None or copy.is_writer:
            return None
        return next((m for m in group.members if m.is_writer), None)
    return getattr(copy, "pilotlight_source", None)


def writes(copy):
    if getattr(copy, "pilotlight_cut", False):
        return False
    if getattr(copy, "status", "available") not in ("available", "backing-up", "modifying"):
        return False
    return source_of(copy) is None


def lag_seconds(copy):
    """What CloudWatch would say, or None where there is no metric."""
    source = source_of(copy)
    if source is None:
        return None
    if not data_is_up(source.region):
        return CLOCK.now() - getattr(source, "pilotlight_cut_at", CLOCK.now()) + lag_of(copy)
    return lag_of(copy)


def lag_by_name(region, name):
    """Seconds, -1 where replication does not run, None where there is no metric."""
    settle_all()
    copy = rds_backends[ACCOUNT][region].databases.get(name)
    if copy is None or source_of(copy) is None:
        return None
    if copy.status == "creating" or not data_is_up(source_of(copy).region):
        return -1.0
    return lag_seconds(copy)


def aurora_lag(region, name, source_region):
    """Milliseconds, None where there is no metric: the writer has none, and none is published when it is lost."""
    settle_all()
    copy = rds_backends[ACCOUNT][region].clusters.get(name)
    source = copy and source_of(copy)
    if source is None or source.region != source_region or not data_is_up(source.region):
        return None
    return lag_of(copy) * 1000.0


def last_lag(region, name):
    """What was published last before the source was lost, and how many modelled seconds ago; None while it is there."""
    backend = rds_backends[ACCOUNT][region]
    copy = backend.databases.get(name) or backend.clusters.get(name)
    source = copy and source_of(copy)
    if source is None or data_is_up(source.region) or not hasattr(source, "pilotlight_cut_at"):
        return None
    return lag_of(copy), CLOCK.now() - source.pilotlight_cut_at


def lag_of(copy):
    return getattr(copy, "pilotlight_lag", PHASES["replica-lag"])


def before_change_of(region):
    """Copies take over what has arrived until now."""
    settle_all()
    for copy in every_copy():
        source = source_of(copy)
        if source is not None and source.region == region and data_is_up(region):
            STORE.of(copy)


def after_change_of(region):
    for copy in every_copy():
        if copy.region == region:
            copy.pilotlight_cut_at = CLOCK.now()


def every_copy():
    for backend in rds_backends[ACCOUNT].values():
        yield from list(backend.clusters.values())
        yield from list(backend.databases.values())


def settle_all():
    for group in list(rds_backends[ACCOUNT]["us-east-1"].global_clusters.values()):
        settle(group)
    for copy in every_copy():
        settle_copy(copy)


def settle_copy(copy):
    until = getattr(copy, "pilotlight_busy_until", None)
    if until is not None and CLOCK.now() >= until:
        copy.pilotlight_busy_until = None
        then = getattr(copy, "pilotlight_then", None)
        copy.pilotlight_then = None
        copy.status = "available"
        if then:
            then()


def name_of(copy):
    return copy.db_cluster_identifier if isinstance(copy, DBCluster) else copy.db_instance_identifier


def busy(copy, status, phase, then=None):
    copy.status = status
    copy.pilotlight_busy_until = begin(phase, f"rds:{name_of(copy)}")
    copy.pilotlight_then = then


def busy_group(group, status, phase):
    group.status = status
    group.pilotlight_busy_until = begin(phase, f"rds:{group.global_cluster_identifier}")


def settle(group):
    if CLOCK.now() >= getattr(group, "pilotlight_busy_until", float("inf")):
        group.pilotlight_busy_until = float("inf")
        group.status = "available"
    move = getattr(group, "pilotlight_move", None)
    if move is not None and CLOCK.now() >= move["until"]:
        group.pilotlight_move = None
        group.status = "available"
        finish(group, move)
    writer = next((m for m in group.members if m.is_writer), None)
    for member in group.members:
        member.replication_source_identifier = None if member.is_writer or not writer else writer.db_cluster_arn
        until = getattr(member, "pilotlight_resync_until", None)
        if until is None or member.is_writer:
            continue
        if not data_is_up(member.region):
            # A lost region is rebuilt when it is back.
            member.pilotlight_resync_until = CLOCK.now() + PHASES["resync"]
        elif CLOCK.now() >= until:
            member.pilotlight_resync_until = None


def finish(group, move):
    old, new = move["from"], move["to"]
    kept = list(STORE.of(old)) if not move["loss"] else list(STORE.rows.get(STORE.key(new), []))
    for member in group.members:
        member.is_writer = member is new
        member.status = "available"
        if move["loss"] and member is not new:
            member.pilotlight_resync_until = CLOCK.now() + PHASES["resync"]
    STORE.rows[STORE.key(new)] = kept


def start_move(self, loss):
    with LOCK:
        settle_all()
        group = known_group(self)
        target = self.params["TargetDbClusterIdentifier"]
        new = next((m for m in group.members if target in (m.db_cluster_arn, m.db_cluster_identifier)), None)
        if new is None:
            raise DBClusterNotFoundError(target)
        if getattr(group, "pilotlight_move", None) is not None:
            raise InvalidGlobalClusterStateFault(group.global_cluster_identifier)
        old = next((m for m in group.members if m.is_writer), None)
        if new is old:
            raise RDSClientError("InvalidDBClusterStateFault", f"{target} is the writer already")
        if getattr(new, "pilotlight_resync_until", None):
            raise RDSClientError("InvalidDBClusterStateFault", f"{target} is not synchronised")
        if not loss and not data_is_up(old.region):
            raise RDSClientError("InvalidGlobalClusterStateFault", "the primary cluster is not healthy")
        if loss:
            STORE.of(new)
        word = "failing-over" if loss else "switching-over"
        phase = "failover" if loss else "switchover"
        until = begin(phase, f"rds:{group.global_cluster_identifier}")
        group.pilotlight_move = {"from": old, "to": new, "loss": loss, "until": until, "word": word}
        group.status = word
        for member in (old, new):
            member.status = word
        return ActionResult({"GlobalCluster": group})


def known_group(self):
    name = self.params["GlobalClusterIdentifier"]
    group = self.global_backend.global_clusters.get(name)
    if group is None:
        raise RDSClientError("GlobalClusterNotFoundFault", f"Global cluster {name} not found")
    return group


def failover_global_cluster(self):
    allowed = self.params.get("AllowDataLoss")
    if self.params.get("Switchover"):
        return start_move(self, loss=False)
    return start_move(self, loss=bool(allowed))


def switchover_global_cluster(self):
    return start_move(self, loss=False)


def remove_from_global_cluster(self):
    with LOCK:
        settle_all()
        group = known_group(self)
        name = self.params["DbClusterIdentifier"]
        cluster = next((m for m in group.members if name in (m.db_cluster_arn, m.db_cluster_identifier)), None)
        if cluster is None:
            raise DBClusterNotFoundError(name)
        if cluster.is_writer and len(group.members) > 1:
            raise InvalidGlobalClusterStateFault(group.global_cluster_identifier)
        STORE.of(cluster)
        group.members.remove(cluster)
        cluster.global_cluster_identifier = cluster.replication_source_identifier = None
        cluster.is_writer = True
        cluster.pilotlight_resync_until = None
        busy(cluster, "promoting", "detach")
        return ActionResult({"GlobalCluster": group})


def describe_global_clusters(self):
    with LOCK:
        settle_all()
        name = self.params.get("GlobalClusterIdentifier")
        groups = list(self.global_backend.global_clusters.values())
        if name:
            groups = [g for g in groups if name in (g.global_cluster_identifier, g.arn)]
            if not groups:
                raise RDSClientError("GlobalClusterNotFoundFault", f"Global cluster {name} not found")
        return ActionResult({"GlobalClusters": groups})


def failover_state(group):
    move = getattr(group, "pilotlight_move", None)
    if move is None:
        return None
    return {
        "Status": move["word"],
        "FromDbClusterArn": move["from"].db_cluster_arn,
        "ToDbClusterArn": move["to"].db_cluster_arn,
        "IsDataLossAllowed": move["loss"],
    }


def members(group):
    readers = [m.db_cluster_arn for m in group.members if not m.is_writer]
    return [
        {
            "DBClusterArn": m.db_cluster_arn,
            "IsWriter": bool(m.is_writer),
            "Readers": readers if m.is_writer else [],
            "GlobalWriteForwardingStatus": "disabled",
            "SynchronizationStatus": "pending-resync" if getattr(m, "pilotlight_resync_until", None) else "connected",
        }
        for m in group.members
    ]


def is_shut(copy):
    """Clients cannot connect. Those from before are cut off by a reboot only."""
    groups = getattr(copy, "vpc_security_group_ids", None) or []
    return bool(groups) and all(group.startswith("sg-closed") for group in groups)


def drop_replica(source, copy):
    source.replicas = [r for r in source.replicas if r not in (copy.db_instance_identifier, copy.arn)]


def status_infos(copy):
    source = getattr(copy, "pilotlight_source", None)
    if source is None or copy.status == "creating":
        return []
    up = data_is_up(source.region)
    return [{"StatusType": "read replication", "Normal": up, "Status": "replicating" if up else "error"}]


def modify_db_instance(original):
    def modify(self, name, kwargs):
        copy = self.databases.get(name)
        renamed = "new_db_instance_identifier" in kwargs
        if copy is not None and copy.status not in ("available", "stopped"):
            raise RDSClientError("InvalidDBInstanceState", f"{name} is {copy.status}")
        if renamed and kwargs["new_db_instance_identifier"] in self.databases:
            raise RDSClientError("DBInstanceAlreadyExists", "DB instance already exists")
        stopped = copy is not None and copy.status == "stopped"
        copy = original(self, name, kwargs)
        if not is_shut(copy):
            copy.pilotlight_cut = False
        if not stopped:
            busy(copy, "modifying", "rename" if renamed else "modify")
        return copy

    return modify


def reboot_db_instance(original):
    def reboot(self, name):
        copy = original(self, name)
        if copy.status != "available":
            raise RDSClientError("InvalidDBInstanceState", f"{name} is {copy.status}")

        def then():
            # Clients of a cluster write to one of its instances.
            holder = copy.cluster if isinstance(copy, models.DBInstanceClustered) else copy
            if holder is copy or copy.is_cluster_writer:
                holder.pilotlight_cut = is_shut(copy)
            busy(copy, "rebooting", "reboot")

        # It is answered at once and shown a moment later; sessions live until then.
        busy(copy, "available", "reboot-shown", then)
        return copy

    return reboot


def forget(name):
    """Nothing of that name was ever there."""
    for backend in rds_backends[ACCOUNT].values():
        backend.databases.pop(name, None)
        backend.database_snapshots.clear()
    return {}


def set_lag(given):
    """A copy falls behind by so many modelled seconds."""
    find(given["region"], given["name"]).pilotlight_lag = given["seconds"]
    return {}


def stop_by_hand(given):
    copy = find(given["region"], given["name"])
    copy.status = "stopped"
    return {}


def promote_read_replica(self):
    with LOCK:
        settle_all()
        name = self.params["DBInstanceIdentifier"]
        copy = self.backend.describe_db_instances(name)[0]
        source = getattr(copy, "pilotlight_source", None)
        if source is None or copy.status != "available":
            raise RDSClientError("InvalidDBInstanceState", f"{name} is not a read replica")
        STORE.of(copy)
        copy.backup_retention_period = int(self.params.get("BackupRetentionPeriod") or 1)

        def then():
            copy.pilotlight_source = None
            copy.is_replica = False
            copy.source_db_instance_identifier = None
            drop_replica(source, copy)

        busy(copy, "modifying", "promote", then)
        return ActionResult({"DBInstance": copy})


def settled(original):
    def look(self, *args, **kwargs):
        with LOCK:
            settle_all()
            return original(self, *args, **kwargs)

    return look


def replica_of(original):
    def create(self, db_kwargs):
        source = self.find_db_from_id(db_kwargs["source_db_instance_identifier"])
        if db_kwargs["db_instance_identifier"] in self.databases:
            raise RDSClientError("DBInstanceAlreadyExists", "DB instance already exists")
        if not data_is_up(source.region) or source.status != "available":
            raise RDSClientError("InvalidDBInstanceState", "the source is not available")
        copy = original(self, db_kwargs)
        copy.tags = list(db_kwargs.get("tags") or [])
        # moto's copy keeps the name of its source's group, which another region does not have.
        copy.db_parameter_group_name = db_kwargs.get("db_parameter_group_name")
        copy.__dict__.pop("pilotlight_key", None)
        copy.pilotlight_source = source
        copy.pilotlight_cut = False
        copy.backend = self
        drop_replica(source, copy)
        source.replicas.append(copy.arn if source.region != copy.region else copy.db_instance_identifier)
        busy(copy, "creating", "create-cluster")
        return copy

    return create


def install():
    for call in (
        failover_global_cluster,
        switchover_global_cluster,
        remove_from_global_cluster,
        describe_global_clusters,
        promote_read_replica,
    ):
        setattr(RDSResponse, call.__name__, call)
    for name in ("describe_db_clusters", "describe_db_instances"):
        setattr(RDSResponse, name, settled(getattr(RDSResponse, name)))
    GlobalCluster.failover_state = property(failover_state)
    GlobalCluster.global_cluster_members = property(members)
    backend = models.RDSBackend
    backend.create_db_instance_read_replica = replica_of(backend.create_db_instance_read_replica)
    backend.modify_db_instance = modify_db_instance(backend.modify_db_instance)
    backend.reboot_db_instance = reboot_db_instance(backend.reboot_db_instance)
    models.DBInstance.remove_replica = drop_replica
    models.DBInstance.status_infos = property(status_infos)


def by_hand(given):
    """Somebody switches over past Pilotlight."""
    settle_all()
    group = rds_backends[ACCOUNT]["us-east-1"].global_clusters[given["global_cluster"]]
    new = next(m for m in group.members if m.db_cluster_arn == given["target"])
    old = next(m for m in group.members if m.is_writer)
    until = CLOCK.now() + PHASES["switchover"]
    group.pilotlight_move = {"from": old, "to": new, "loss": False, "until": until, "word": "switching-over"}
    group.status = "switching-over"
    return {}

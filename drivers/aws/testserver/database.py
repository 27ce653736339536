"""RDS beyond moto: global clusters that switch and fail over in phases, detach, promotion of replicas, and rows.

moto keeps clusters and instances; this file adds what happens to them over time. Every look first settles what has
become due. The rows of a cluster are numbers that a test writes past the driver: they show what was acknowledged,
what a copy holds, and what an unplanned failover loses.
"""

from moto.core.responses import ActionResult
from moto.rds import models
from moto.rds.exceptions import DBClusterNotFoundError, InvalidGlobalClusterStateFault, RDSClientError
from moto.rds.models import DBCluster, GlobalCluster, rds_backends
from moto.rds.responses import RDSResponse

from clock import CLOCK, PHASES
from world import LOCK, data_is_up

ACCOUNT = "123456789012"


class Refused(Exception):
    """A write was not acknowledged."""


class Store:
    """Rows by ARN: what was acknowledged where, and when."""

    def __init__(self):
        self.rows = {}
        self.count = 0

    def write(self, region, name):
        settle_all()
        copy = find(region, name)
        if not data_is_up(region):
            raise Refused(f"{region} does not answer")
        if not writes(copy):
            raise Refused(f"{name} is read only")
        self.count += 1
        self.rows.setdefault(copy.arn, []).append((self.count, CLOCK.now()))
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
            return self.rows.setdefault(copy.arn, [])
        if getattr(copy, "pilotlight_resync_until", None) or not data_is_up(source.region):
            return self.rows.setdefault(copy.arn, [])
        seen = [row for row in self.of(source) if row[1] <= CLOCK.now() - PHASES["replica-lag"]]
        self.rows[copy.arn] = seen
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
    if getattr(copy, "status", "available") not in ("available", "backing-up", "modifying"):
        return False
    return source_of(copy) is None


def lag_seconds(copy):
    """What CloudWatch would say, or None where there is no metric."""
    source = source_of(copy)
    if source is None:
        return None
    if not data_is_up(source.region):
        return CLOCK.now() - getattr(source, "pilotlight_cut_at", CLOCK.now()) + PHASES["replica-lag"]
    return PHASES["replica-lag"]


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


def busy(copy, status, phase, then=None):
    copy.status = status
    copy.pilotlight_busy_until = CLOCK.now() + PHASES[phase]
    copy.pilotlight_then = then


def settle(group):
    move = getattr(group, "pilotlight_move", None)
    if move is not None and CLOCK.now() >= move["until"]:
        group.pilotlight_move = None
        group.status = "available"
        finish(group, move)
    for member in group.members:
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
    kept = list(STORE.of(old)) if not move["loss"] else list(STORE.rows.get(new.arn, []))
    for member in group.members:
        member.is_writer = member is new
        member.status = "available"
        if move["loss"] and member is not new:
            member.pilotlight_resync_until = CLOCK.now() + PHASES["resync"]
    STORE.rows[new.arn] = kept


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
        group.pilotlight_move = {"from": old, "to": new, "loss": loss, "until": CLOCK.now() + PHASES[phase], "word": word}
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
        cluster.global_cluster_identifier = None
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


def promote_read_replica(self):
    with LOCK:
        settle_all()
        name = self.params["DBInstanceIdentifier"]
        copy = self.backend.describe_db_instances(name)[0]
        source = getattr(copy, "pilotlight_source", None)
        if source is None:
            raise RDSClientError("InvalidDBInstanceState", f"{name} is not a read replica")
        STORE.of(copy)

        def then():
            copy.pilotlight_source = None
            copy.is_replica = False
            copy.source_db_identifier = None
            source.replicas = [r for r in source.replicas if r not in (copy.db_instance_identifier, copy.arn)]

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
        copy = original(self, db_kwargs)
        name = db_kwargs["source_db_instance_identifier"]
        copy.pilotlight_source = self.find_db_from_id(name)
        copy.backend = self
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

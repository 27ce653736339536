"""The way back of an Aurora region beyond moto: clusters, instances and global clusters that are renamed and made, and
snapshots, each with its phase.

What a test starts from (`world.making`) is there at once.
"""

from moto.core.responses import ActionResult
from moto.rds import models
from moto.rds.exceptions import DBClusterNotFoundError, InvalidGlobalClusterStateFault, RDSClientError
from moto.rds.models import DBCluster, GlobalCluster, rds_backends
from moto.rds.responses import RDSResponse

import database
from clock import CLOCK, begin
from world import LOCK, data_is_up, making

ACCOUNT = database.ACCOUNT
RESTS = ("available", "backing-up")


def rests(cluster, name):
    if cluster is None:
        raise DBClusterNotFoundError(name)
    if cluster.status not in RESTS:
        raise RDSClientError("InvalidDBClusterStateFault", f"{name} is {cluster.status}")


def modify_db_cluster(original):
    def modify(self, kwargs):
        database.settle_all()
        name, new = kwargs["db_cluster_identifier"], kwargs.get("new_db_cluster_identifier")
        cluster = self.clusters.get(name)
        rests(cluster, name)
        if new and new in self.clusters:
            raise RDSClientError("DBClusterAlreadyExistsFault", f"{new} is there already")
        instances = list(cluster._members)
        original(self, kwargs)
        for instance in instances:
            instance.db_cluster_identifier = cluster.db_cluster_identifier
        if not database.is_shut(cluster):
            cluster.pilotlight_cut = False
        database.busy(cluster, "renaming" if new else "modifying", "rename" if new else "modify")
        return cluster

    return modify


def renew(snapshots, name):
    """moto calls automated snapshots after the minute, and makes one with whatever takes a name."""
    for one in [s for s in snapshots if s.startswith(f"rds:{name}-")]:
        snapshots.pop(one)


def create_db_cluster(original):
    def create(self, kwargs):
        database.settle_all()
        name, group = kwargs["db_cluster_identifier"], kwargs.get("global_cluster_identifier")
        if name in self.clusters:
            raise RDSClientError("DBClusterAlreadyExistsFault", f"{name} is there already")
        group = group and known(group)
        if group and group.status != "available":
            raise InvalidGlobalClusterStateFault(group.global_cluster_identifier)
        writer = group and next((m for m in group.members if m.is_writer), None)
        if writer is not None and not data_is_up(writer.region):
            raise InvalidGlobalClusterStateFault(group.global_cluster_identifier)
        renew(self.cluster_snapshots, name)
        cluster = original(self, kwargs)
        if writer is not None and not making():
            cluster.pilotlight_resync_until = float("inf")

            def then():
                cluster.pilotlight_resync_until = begin("resync", f"rds:{name}")

            database.busy(cluster, "creating", "create-cluster", then)
        return cluster

    return create


def create_db_instance(original):
    def create(self, db_kwargs):
        renew(self.database_snapshots, db_kwargs["db_instance_identifier"])
        copy = original(self, db_kwargs)
        if getattr(copy, "db_cluster_identifier", None) and not making():
            database.busy(copy, "creating", "create-instance")
        return copy

    return create


def create_db_cluster_snapshot(original):
    def create(self, db_cluster_identifier, db_cluster_snapshot_identifier, snapshot_type="manual", tags=None):
        if snapshot_type == "manual":
            rests(self.clusters.get(db_cluster_identifier), db_cluster_identifier)
        made = original(self, db_cluster_identifier, db_cluster_snapshot_identifier, snapshot_type, tags)
        if snapshot_type == "manual":
            made.status, made.percent_progress = "creating", 0
            made.pilotlight_until = begin("snapshot", f"rds:{db_cluster_snapshot_identifier}")
        return made

    return create


def describe_db_cluster_snapshots(original):
    def look(self, *args, **kwargs):
        for snapshot in self.cluster_snapshots.values():
            if CLOCK.now() >= getattr(snapshot, "pilotlight_until", float("inf")):
                snapshot.status, snapshot.percent_progress = "available", 100
        return original(self, *args, **kwargs)

    return look


def known(name):
    group = groups().get(name)
    if group is None:
        raise RDSClientError("GlobalClusterNotFoundFault", f"Global cluster {name} not found")
    return group


def groups():
    return rds_backends[ACCOUNT]["us-east-1"].global_clusters


def create_global_cluster(original):
    def create(self):
        source, name = self.params.get("SourceDBClusterIdentifier"), self.params["GlobalClusterIdentifier"]
        with LOCK:
            database.settle_all()
            if name in groups():
                raise RDSClientError("GlobalClusterAlreadyExistsFault", f"{name} is there already")
            if source is None:
                return original(self)
            cluster = rds_backends[ACCOUNT][source.split(":")[3]].clusters.get(source.split(":")[-1])
            rests(cluster, source)
            if database.global_of(cluster) is not None:
                raise RDSClientError("InvalidDBClusterStateFault", f"{source} is in a global cluster already")
            group = GlobalCluster(
                backend=self.global_backend,
                global_cluster_identifier=name,
                engine=cluster.engine,
                engine_version=cluster.engine_version,
                storage_encrypted=cluster.storage_encrypted,
                deletion_protection=False,
            )
            group.members.append(cluster)
            cluster.is_writer, cluster.global_cluster_identifier = True, name
            groups()[name] = group
            database.busy_group(group, "creating", "modify")
            return ActionResult({"GlobalCluster": group})

    return create


def modify_global_cluster(self):
    name, new = self.params["GlobalClusterIdentifier"], self.params.get("NewGlobalClusterIdentifier")
    with LOCK:
        database.settle_all()
        group = known(name)
        if group.status != "available":
            raise InvalidGlobalClusterStateFault(name)
        if new:
            if new in groups():
                raise RDSClientError("GlobalClusterAlreadyExistsFault", f"{new} is there already")
            groups()[new] = groups().pop(name)
            group.global_cluster_identifier = new
        return ActionResult({"GlobalCluster": group})


def status_of(original):
    """moto's clusters are made at the first look; here a phase says how long it takes."""

    def status(cluster):
        if getattr(cluster, "pilotlight_busy_until", None) is not None:
            return cluster._status
        return original.fget(cluster)

    return status


def resource_id(copy):
    """What AWS calls an instance itself, whatever its name is by now; moto calls all of them the same."""
    return f"db-{database.STORE.key(copy):026d}"


def shown(given):
    return {"names": sorted(rds_backends[ACCOUNT][given["region"]].clusters)}


def forget(name):
    """No cluster, instance or global cluster whose name begins so was ever there."""
    for backend in rds_backends[ACCOUNT].values():
        for kept in (backend.clusters, backend.databases, backend.cluster_snapshots, backend.global_clusters):
            for one in [n for n in kept if n.startswith(name)]:
                kept.pop(one)
    return {}


def install():
    backend = models.RDSBackend
    for call in (modify_db_cluster, create_db_cluster, create_db_instance, create_db_cluster_snapshot):
        setattr(backend, call.__name__, call(getattr(backend, call.__name__)))
    look = describe_db_cluster_snapshots
    setattr(backend, look.__name__, look(backend.describe_db_cluster_snapshots))
    RDSResponse.create_global_cluster = create_global_cluster(RDSResponse.create_global_cluster)
    RDSResponse.modify_global_cluster = modify_global_cluster
    models.DBInstance.dbi_resource_id = property(resource_id, lambda *_: None)
    DBCluster.status = property(status_of(DBCluster.status), DBCluster.status.fset)

"""ElastiCache beyond moto: global datastores whose primary moves in phases, and the rows of their groups.

moto keeps replication groups, with one node whatever is asked for, and does not show their nodes; a global datastore is
ours. A second member takes over the engine and the encryption of the first. Replication is asynchronous: a copy has what
was written until the lag ago, and a move keeps what the new primary has.
"""

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup, elasticache_backends
from moto.elasticache.responses import ElastiCacheResponse

from clock import CLOCK, PHASES, begin
from database import Refused
from world import LOCK, data_is_up

ACCOUNT = "123456789012"
PREFIX = "ldgnf-"
DATASTORES = {}

create_group = ElastiCacheResponse.create_replication_group
describe_clusters = ElastiCacheResponse.describe_cache_clusters
make_group = ElastiCacheBackend.create_replication_group


class NotFound(ServiceException):
    code = "GlobalReplicationGroupNotFoundFault"


class WrongState(ServiceException):
    code = "InvalidGlobalReplicationGroupState"


class Datastore:
    def __init__(self, name, description):
        self.name, self.description, self.members, self.moving = name, description, [], None

    @property
    def status(self):
        if self.moving:
            return "modifying"
        return "available" if len(self.members) > 1 else "primary-only"

    def shown(self):
        leads = group(self.primary)
        return {
            "GlobalReplicationGroupId": self.name,
            "GlobalReplicationGroupDescription": self.description,
            "ARN": f"arn:aws:elasticache::{ACCOUNT}:globalreplicationgroup:{self.name}",
            "Status": self.status,
            "Engine": leads.engine,
            "EngineVersion": leads.engine_version,
            "CacheNodeType": leads.cache_node_type,
            "ClusterEnabled": leads.cluster_enabled,
            "AuthTokenEnabled": leads.auth_token_enabled,
            "TransitEncryptionEnabled": leads.transit_encryption_enabled,
            "AtRestEncryptionEnabled": leads.at_rest_encryption_enabled,
            "Members": [
                {
                    "ReplicationGroupId": m["name"],
                    "ReplicationGroupRegion": m["region"],
                    "Role": role(m),
                    "AutomaticFailover": group(m).automatic_failover,
                    "Status": "associated" if CLOCK.now() >= m["since"] else "associating",
                }
                for m in self.members
            ],
        }

    def member(self, region, name):
        return next((m for m in self.members if m["region"] == region and m["name"] == name), None)

    @property
    def primary(self):
        return next(m for m in self.members if m["primary"])


class Store:
    """Rows by region and group."""

    def __init__(self):
        self.rows, self.count, self.lags = {}, 0, {}

    def write(self, region, name):
        settle()
        if not data_is_up(region):
            raise Refused(f"{region} does not answer")
        datastore, member = of(region, name)
        if member and (not member["primary"] or datastore.moving):
            raise Refused(f"{name} in {region} is read only")
        self.count += 1
        self.rows.setdefault((region, name), []).append((self.count, CLOCK.now()))
        return self.count

    def held(self, region, name):
        settle()
        if not data_is_up(region):
            raise Refused(f"{region} does not answer")
        self.copy(region, name)
        return [number for number, _ in self.rows.get((region, name), [])]

    def copy(self, region, name):
        """A secondary takes over what has arrived from a primary that lives."""
        datastore, member = of(region, name)
        if member is None or member["primary"] or not data_is_up(region):
            return
        primary = datastore.primary
        if data_is_up(primary["region"]):
            rows = self.rows.get((primary["region"], primary["name"]), [])
            self.rows[(region, name)] = [row for row in rows if row[1] <= CLOCK.now() - self.lag(region, name)]

    def lag(self, region, name):
        return self.lags.get((region, name), PHASES["replica-lag"])


STORE = Store()


def role(member):
    return "PRIMARY" if member["primary"] else "SECONDARY"


def group(member):
    """What moto keeps of it."""
    return elasticache_backends[ACCOUNT][member["region"]].replication_groups[member["name"]]


def of(region, name):
    for datastore in DATASTORES.values():
        member = datastore.member(region, name)
        if member:
            return datastore, member
    return None, None


def settle():
    for datastore in DATASTORES.values():
        if datastore.moving and CLOCK.now() >= datastore.moving["until"]:
            new, datastore.moving = datastore.moving["to"], None
            old = datastore.primary
            if data_is_up(old["region"]):
                STORE.rows[(new["region"], new["name"])] = list(STORE.rows.get((old["region"], old["name"]), []))
            for member in datastore.members:
                member["primary"] = member is new
            old["since"] = CLOCK.now() + PHASES["resync"]
        for member in datastore.members:
            if not data_is_up(member["region"]) and not member["primary"]:
                member["since"] = CLOCK.now() + PHASES["resync"]


def before_change_of():
    """Copies take over what has arrived until now."""
    settle()
    for datastore in DATASTORES.values():
        for member in datastore.members:
            STORE.copy(member["region"], member["name"])


def set_lag(given):
    """A copy falls behind by so many modelled seconds."""
    STORE.lags[(given["region"], given["name"])] = given["seconds"]
    return {}


def known(self):
    name = self._get_param("GlobalReplicationGroupId")
    if name not in DATASTORES:
        raise NotFound(f"Global replication group {name} not found")
    return DATASTORES[name]


def answer(datastore):
    return ActionResult({"GlobalReplicationGroup": datastore.shown()})


def create_global_replication_group(self):
    with LOCK:
        name = self._get_param("PrimaryReplicationGroupId")
        self.elasticache_backend.describe_replication_groups(name)
        suffix = self._get_param("GlobalReplicationGroupIdSuffix")
        datastore = Datastore(PREFIX + suffix, self._get_param("GlobalReplicationGroupDescription"))
        datastore.members.append({"region": self.region, "name": name, "primary": True, "since": 0.0})
        DATASTORES[datastore.name] = datastore
        return answer(datastore)


def create_replication_group(self):
    with LOCK:
        made = create_group(self)
        name = self._get_param("GlobalReplicationGroupId")
        if name:
            member = {"region": self.region, "name": self._get_param("ReplicationGroupId"), "primary": False}
            DATASTORES[name].members.append({**member, "since": CLOCK.now() + PHASES["create-cluster"]})
        return made


def make_group_as_asked(backend, **given):
    """As many nodes as are asked for; of a second member what the first one has."""
    if not given["replicas_per_node_group"]:
        given["replicas_per_node_group"] = (given["num_cache_clusters"] or 1) - 1
    datastore = DATASTORES.get(given["global_replication_group_id"])
    if datastore is not None:
        leads = group(datastore.primary)
        for name in ("engine", "engine_version", "cache_node_type", "transit_encryption_enabled", "at_rest_encryption_enabled"):
            given[name] = getattr(leads, name)
        given["automatic_failover_enabled"] = leads.automatic_failover == "enabled"
    return make_group(backend, **given)


def membership(replication_group):
    """As its own region shows it; a group that was taken out has none."""
    datastore, member = of(replication_group.arn.split(":")[3], replication_group.replication_group_id)
    if member is None:
        return None
    return {"GlobalReplicationGroupId": datastore.name, "GlobalReplicationGroupMemberRole": role(member)}


def describe_cache_clusters(self):
    """Also a node of a replication group, by its name."""
    with LOCK:
        name = self._get_param("CacheClusterId")
        for one in self.elasticache_backend.replication_groups.values():
            if name in one.member_clusters:
                return ActionResult({"CacheClusters": [shown_node(name, one)]})
        return describe_clusters(self)


def shown_node(name, of_group):
    return {
        "CacheClusterId": name,
        "ReplicationGroupId": of_group.replication_group_id,
        "CacheClusterStatus": "available",
        "CacheNodeType": of_group.cache_node_type,
        "NumCacheNodes": 1,
        "Engine": of_group.engine,
        "EngineVersion": of_group.engine_version,
        "CacheSubnetGroupName": of_group.cache_subnet_group_name,
        "SecurityGroups": [{"SecurityGroupId": i, "Status": "active"} for i in of_group.security_group_ids or []],
        "AutoMinorVersionUpgrade": of_group.auto_minor_version_upgrade is not False,
        "PreferredMaintenanceWindow": of_group.preferred_maintenance_window or "sun:05:00-sun:06:00",
        "SnapshotRetentionLimit": of_group.snapshot_retention_limit,
        "AuthTokenEnabled": of_group.auth_token_enabled,
        "TransitEncryptionEnabled": of_group.transit_encryption_enabled,
        "AtRestEncryptionEnabled": of_group.at_rest_encryption_enabled,
    }


def describe_global_replication_groups(self):
    with LOCK:
        settle()
        name = self._get_param("GlobalReplicationGroupId")
        found = [known(self)] if name else list(DATASTORES.values())
        return ActionResult({"GlobalReplicationGroups": [d.shown() for d in found]})


def failover_global_replication_group(self):
    with LOCK:
        settle()
        datastore = known(self)
        new = datastore.member(self._get_param("PrimaryRegion"), self._get_param("PrimaryReplicationGroupId"))
        if new is None:
            raise NotFound("no such member")
        if datastore.moving or new["primary"] or CLOCK.now() < new["since"]:
            raise WrongState(f"{datastore.name} is {datastore.status}, or the member is not associated")
        STORE.copy(new["region"], new["name"])
        datastore.moving = {"to": new, "until": begin("cache-failover", f"elasticache:{datastore.name}")}
        new["since"] = datastore.moving["until"]
        return answer(datastore)


def disassociate_global_replication_group(self):
    with LOCK:
        settle()
        datastore = known(self)
        member = datastore.member(self._get_param("ReplicationGroupRegion"), self._get_param("ReplicationGroupId"))
        if member is None or member["primary"]:
            raise WrongState("only a secondary can be taken out")
        STORE.copy(member["region"], member["name"])
        datastore.members.remove(member)
        return answer(datastore)


def replication_lag(region, dimensions):
    """Of the group a cache cluster belongs to, None where there is no metric."""
    settle()
    cluster = dimensions.get("CacheClusterId", "")
    for name, one in elasticache_backends[ACCOUNT][region].replication_groups.items():
        datastore, member = of(region, name)
        if cluster not in (one.member_clusters or []) or member is None or member["primary"]:
            continue
        return STORE.lag(region, name) if data_is_up(datastore.primary["region"]) else None
    return None


def install():
    for call in (
        create_global_replication_group,
        create_replication_group,
        describe_cache_clusters,
        describe_global_replication_groups,
        failover_global_replication_group,
        disassociate_global_replication_group,
    ):
        setattr(ElastiCacheResponse, call.__name__, call)
    ElastiCacheBackend.create_replication_group = make_group_as_asked
    ReplicationGroup.global_replication_group_info = property(membership)

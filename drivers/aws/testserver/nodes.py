"""EKS beyond moto: a change of a node group takes a while and may fail, and its nodes are instances of a real group.

moto names an Auto Scaling group in each node group and makes none, forgets some of what a cluster and a group were made
with, and says of a group with a launch template what AWS leaves to that.
"""

import json
import re

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import ResourceInUseException
from moto.eks.models import EKSBackend, Nodegroup, eks_backends
from moto.eks.responses import EKSResponse

from clock import CLOCK, begin

ACCOUNT = "123456789012"
UPDATES = {}
# Node groups whose next changes AWS will give up on, with the reason.
FAILING = {}

PATHS = [
    ("GET", r"^/clusters/[^/]+$", "DescribeCluster"),
    ("GET", r"^/clusters/[^/]+/node-groups/[^/]+$", "DescribeNodegroup"),
    ("POST", r"^/clusters/[^/]+/node-groups/[^/]+/update-config$", "UpdateNodegroupConfig"),
    ("GET", r"^/clusters/[^/]+/updates/[^/]+$", "DescribeUpdate"),
]

original = EKSBackend.update_nodegroup_config
make_cluster, make_nodes = EKSResponse.create_cluster, EKSResponse.create_nodegroup


def create_cluster(self):
    made = make_cluster(self)
    made.result["cluster"].access_config = {"authenticationMode": "CONFIG_MAP", **(self._get_param("accessConfig") or {})}
    return made


def create_nodegroup(self):
    made = make_nodes(self)
    group, backend = made.result["nodegroup"], self.eks_backend
    group.version = self._get_param("version") or backend.clusters[group.cluster_name].version
    group.update_config = self._get_param("updateConfig") or {"maxUnavailable": 1}
    group.remote_access = self._get_param("remoteAccess")
    if group.launch_template:
        group.disk_size = None
    launch(backend, group)
    return made


def launch(backend, group):
    """The instances of a new group, of an image that EKS picks."""
    groups, name = autoscaling_backends[ACCOUNT][backend.region_name], group.resources["autoScalingGroups"][0]["name"]
    image = next(iter(ec2_backends[ACCOUNT][backend.region_name].amis))
    nothing = dict.fromkeys(("key_name", "kernel_id", "ramdisk_id", "user_data", "instance_profile_name", "spot_price"))
    groups.create_launch_configuration(
        name=name,
        image_id=image,
        instance_type=group.instance_types[0],
        security_groups=[],
        instance_monitoring=False,
        ebs_optimized=False,
        associate_public_ip_address=False,
        block_device_mappings=[],
        **nothing,
    )
    sizes = group.scaling_config
    groups.create_auto_scaling_group(
        name=name,
        availability_zones=[f"{backend.region_name}a"],
        desired_capacity=sizes["desiredSize"],
        max_size=sizes["maxSize"],
        min_size=sizes["minSize"],
        launch_config_name=name,
        launch_template={},
        vpc_zone_identifier=None,
        default_cooldown=None,
        health_check_period=None,
        health_check_type=None,
        load_balancers=[],
        target_group_arns=[],
        placement_group=None,
        termination_policies=[],
        tags=[],
    )


def update_nodegroup_config(backend, cluster_name, nodegroup_name, **given):
    group = backend.describe_nodegroup(cluster_name, nodegroup_name)
    if group.status == "UPDATING":
        text = "Nodegroup cannot be updated as it is currently not in Active State"
        raise ResourceInUseException(clusterName=cluster_name, nodegroupName=nodegroup_name, addonName=None, message=text)
    why = FAILING.pop((backend.region_name, cluster_name, nodegroup_name), None)
    before = dict(group.scaling_config)
    update = original(backend, cluster_name, nodegroup_name, **given)
    group.__dict__["pilotlight_until"] = begin("node-update", f"eks:{cluster_name}/{nodegroup_name}")
    if why:
        group.scaling_config.update(before)
        update = {**update, "status": "Failed", "errors": [{"errorCode": "Unknown", "errorMessage": why}]}
    UPDATES[update["id"]] = (group, update)
    settle(backend, group)
    return update


def settle(backend, group):
    """The instances follow the sizes of the node group."""
    held = autoscaling_backends[ACCOUNT][backend.region_name].autoscaling_groups
    behind = held.get(group.resources["autoScalingGroups"][0]["name"])
    if behind is None:
        return
    sizes = group.scaling_config
    behind.min_size, behind.max_size = sizes["minSize"], sizes["maxSize"]
    behind.set_desired_capacity(sizes["desiredSize"])


def status(group):
    if CLOCK.now() < group.__dict__.get("pilotlight_until", 0.0):
        return "UPDATING"
    return group.__dict__.get("pilotlight_status", "ACTIVE")


def set_status(group, word):
    group.__dict__["pilotlight_status"] = word


def by_hand(given):
    """A group becomes unwell, or its next change will fail."""
    region, cluster, name = given["region"], given["cluster"], given["node_group"]
    group = eks_backends[ACCOUNT][region].describe_nodegroup(cluster, name)
    if "fails" in given:
        FAILING[(region, cluster, name)] = given["fails"]
    if "status" in given:
        group.status = given["status"]
        group.health = {"issues": given.get("issues", [])}
    return {"status": group.status}


def version_by_hand(given):
    eks_backends[ACCOUNT][given["region"]].clusters[given["cluster"]].version = given["version"]
    return {}


def serve(environ, start_response):
    """DescribeUpdate, which moto lacks."""
    found = re.search(r"/updates/([^/?]+)$", environ["PATH_INFO"])
    group, update = UPDATES.get(found.group(1), (None, None))
    code, body = 200, None
    if update is None:
        code, body = 404, {"message": "no such update"}
    else:
        word = "InProgress" if group.status == "UPDATING" else update["status"]
        body = {"update": {"id": update["id"], "status": word, "type": update["type"], "errors": update["errors"]}}
    data = json.dumps(body).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    if code == 404:
        headers.append(("x-amzn-ErrorType", "ResourceNotFoundException"))
    start_response(f"{code} {'OK' if code == 200 else 'Not Found'}", headers)
    return [data]


def install():
    EKSResponse.create_cluster, EKSResponse.create_nodegroup = create_cluster, create_nodegroup
    EKSBackend.update_nodegroup_config = update_nodegroup_config
    Nodegroup.status = property(status, set_status)

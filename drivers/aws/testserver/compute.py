"""ECS and Auto Scaling beyond moto: what is asked for becomes ready after a while, some at a time."""

from moto.autoscaling.models import FakeAutoScalingGroup, autoscaling_backends
from moto.ec2.models import EC2Backend
from moto.ecs.models import Service, ecs_backends
from moto.eks.models import eks_backends

import rollouts
from clock import CLOCK, PHASES, begin

ACCOUNT = "123456789012"


def running_count(service):
    return rollouts.of(service).running()


def set_running_count(service, count):
    rollouts.of(service).aim(count)


def pending_count(service):
    return max(0, int(service.desired_count or 0) - running_count(service))


def with_tasks(original):
    def create(service, *args, **kwargs):
        original(service, *args, **kwargs)
        service.running_count = service.desired_count

    return create


def lose_tasks(region, cluster, name, count):
    """Some tasks die and are replaced."""
    service = ecs_backends[ACCOUNT][region].services[f"{cluster}:{name}"]
    ramp = rollouts.of(service).ramp
    ramp.start, ramp.since = max(0, ramp.now() - count), CLOCK.now()
    return {"running": ramp.now()}


def running(given):
    """Tasks or instances that run, past the API."""
    if "node_group" in given:
        nodes = eks_backends[ACCOUNT][given["region"]].describe_nodegroup(given["cluster"], given["node_group"])
        given = {**given, "group": nodes.resources["autoScalingGroups"][0]["name"]}
    if "group" in given:
        group = autoscaling_backends[ACCOUNT][given["region"]].autoscaling_groups[given["group"]]
        return {"running": sum(1 for s in group.instance_states if s.lifecycle_state == "InService")}
    service = ecs_backends[ACCOUNT][given["region"]].services[f"{given['cluster']}:{given['service']}"]
    return {"running": running_count(service)}


def lifecycle_state(state):
    word, since = state.__dict__.get("pilotlight_state", ("InService", 0.0))
    if word == "InService" and CLOCK.now() - since < PHASES["instance"]:
        return "Pending"
    return word


def set_lifecycle_state(state, word):
    before, since = state.__dict__.get("pilotlight_state", (None, CLOCK.now()))
    state.__dict__["pilotlight_state"] = (word, since if before == word else CLOCK.now())


def active_instances(group):
    """What comes counts: asked again for the same number, a group launches no more."""
    return [s for s in group.instance_states if s.lifecycle_state in ("InService", "Pending")]


def set_desired_capacity(original):
    def grow(group, wanted, *args, **kwargs):
        before = len(getattr(group, "instance_states", []))
        answer = original(group, wanted, *args, **kwargs)
        if len(group.instance_states) > before:
            begin("instance", f"autoscaling:{group.name}")
        return answer

    return grow


def without_own_tags(original):
    """Tags of a launch template itself are no part of what it launches."""

    def create(backend, name, description, data, tags):
        kept = [one for one in data.pop("TagSpecifications", []) if one["ResourceType"] != "launch-template"]
        return original(backend, name, description, {**data, **({"TagSpecifications": kept} if kept else {})}, tags)

    return create


def install():
    Service.running_count = property(running_count, set_running_count)
    Service.pending_count = property(pending_count, lambda *_: None)
    Service.__init__ = with_tasks(Service.__init__)
    EC2Backend.create_launch_template = without_own_tags(EC2Backend.create_launch_template)
    rollouts.install()
    from moto.autoscaling.models import InstanceState

    InstanceState.lifecycle_state = property(lifecycle_state, set_lifecycle_state)
    FakeAutoScalingGroup.active_instances = active_instances
    FakeAutoScalingGroup.set_desired_capacity = set_desired_capacity(FakeAutoScalingGroup.set_desired_capacity)

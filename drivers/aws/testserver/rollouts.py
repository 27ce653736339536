"""Deployments of ECS services beyond moto: a forced one brings tasks of its own while the one before it gives way, and may fail.

The tasks of a service are those of its PRIMARY deployment and what is left of the one before."""

from moto.ecs.models import EC2ContainerServiceBackend, Service, ecs_backends

from clock import CLOCK, PHASES, Ramp

ACCOUNT = "123456789012"


class Rollout:
    """What a service runs: the tasks of its PRIMARY deployment, and how many the one before it had."""

    def __init__(self, name):
        self.name = name
        self.ramp, self.goal = Ramp(), 0
        # Of the deployment before.
        self.left, self.old = 0, None
        self.began, self.is_done, self.is_new = CLOCK.now(), False, False
        # Why what is begun from now on comes to nothing, and why the PRIMARY deployment does.
        self.will_fail, self.fails = None, None

    def aim(self, count):
        self.state()
        self.ramp.aim(0 if self.fails else count, "task", f"ecs:{self.name}")
        self.goal, self.is_new = count, False

    def begin(self, old):
        """Another deployment, from nothing."""
        self.left, self.old = self.running(), old
        self.ramp, self.began, self.is_done, self.fails = Ramp(), CLOCK.now(), False, self.will_fail
        self.is_new = True

    def state(self):
        """Once a deployment is completed, another count leaves it so."""
        if self.fails:
            return "FAILED" if CLOCK.now() - self.began >= PHASES["task"] else "IN_PROGRESS"
        # One that has just begun is not completed with the none that it has.
        self.is_done = self.is_done or not self.is_new and self.ramp.now() == self.ramp.goal
        return "COMPLETED" if self.is_done else "IN_PROGRESS"

    def old_running(self):
        if self.old is None or self.state() == "COMPLETED":
            return 0
        return max(0, min(self.left, self.goal) - self.ramp.now())

    def running(self):
        return self.ramp.now() + self.old_running()


def of(service):
    return service.__dict__.setdefault("pilotlight_rollout", Rollout(service.name))


def deployments(service):
    base = service.__dict__.get("pilotlight_deployments", [])
    rollout = of(service)
    if not base:
        return base
    state, run = rollout.state(), rollout.ramp.now()
    wanted = int(service.desired_count or 0)
    said = {"COMPLETED": "completed.", "IN_PROGRESS": "in progress.", "FAILED": f"failed: {rollout.fails}."}[state]
    strategy = list(getattr(service, "capacity_provider_strategy", None) or [])
    base[0].update(
        status="PRIMARY",
        desiredCount=wanted,
        runningCount=run,
        pendingCount=max(0, wanted - run),
        failedTasks=3 if state == "FAILED" else 0,
        rolloutState=state,
        rolloutStateReason=f"ECS deployment {base[0]['id']} {said}",
        capacityProviderStrategy=strategy,
    )
    left = rollout.old_running()
    # moto changes the first: the list is a new one, the PRIMARY deployment is not.
    return [base[0], {**rollout.old, "status": "ACTIVE", "runningCount": left, "desiredCount": left}] if left else [base[0]]


def with_deployment(original):
    def update(backend, properties):
        key = properties.get("service", "").split("/")[-1]
        cluster = backend._get_cluster(properties.get("cluster", "default"))
        service = backend.services.get(f"{cluster.name}:{key}")
        if service is not None and properties.get("force_new_deployment"):
            of(service).begin(dict(deployments(service)[0]))
            if properties.get("desired_count") is None:
                of(service).aim(int(service.desired_count or 0))
        return original(backend, properties)

    return update


def fail(given):
    """Deployments of the service that are begun from now on come to nothing, for this reason; or come again, for none."""
    service = ecs_backends[ACCOUNT][given["region"]].services[f"{given['cluster']}:{given['service']}"]
    of(service).will_fail = given.get("why")
    return {}


def install():
    Service.deployments = property(deployments, lambda s, given: s.__dict__.update(pilotlight_deployments=given))
    EC2ContainerServiceBackend.update_service = with_deployment(EC2ContainerServiceBackend.update_service)

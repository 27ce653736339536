"""CloudFront beyond moto, which keeps origin groups and refuses to lead users to one."""

from moto.cloudfront.models import DistributionConfig


def with_groups(original):
    def init(self, config):
        behaviour = config["DefaultCacheBehavior"]
        wanted = behaviour["TargetOriginId"]
        groups = {g["Id"]: g for g in config.get("OriginGroups", {}).get("Items") or []}
        if wanted in groups:
            behaviour["TargetOriginId"] = groups[wanted]["Members"]["Items"][0]["OriginId"]
        original(self, config)
        self.DefaultCacheBehavior.target_origin_id = wanted

    return init


def install():
    DistributionConfig.__init__ = with_groups(DistributionConfig.__init__)

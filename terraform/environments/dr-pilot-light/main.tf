# S5: a service on ECS with a pilot light in another region. The database is replicated; the standby's tasks are few, on
# spot, and become many, on demand, when Pilotlight moves the service there.

provider "aws" {
  alias  = "primary"
  region = var.primary_region
}

provider "aws" {
  alias  = "standby"
  region = var.standby_region
}

# Health checks and records of Route 53 have their figures in us-east-1, whatever the regions are.
provider "aws" {
  alias  = "global"
  region = "us-east-1"
}

module "keys_primary" {
  source    = "../../modules/keys"
  providers = { aws = aws.primary }
  name      = var.name
  tags      = var.tags
}

module "keys_standby" {
  source    = "../../modules/keys"
  providers = { aws = aws.standby }
  name      = var.name
  tags      = var.tags
}

# A key of its own: where us-east-1 is one of the regions, its alias must be another one.
module "keys_global" {
  source    = "../../modules/keys"
  providers = { aws = aws.global }
  name      = "${var.name}-health"
  tags      = var.tags
}

module "database" {
  source    = "../../modules/database"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby }

  name                    = var.name
  instance_class          = var.database.instance_class
  standby_instance_class  = var.database.instance_class
  storage_gib             = var.database.storage_gib
  master_password         = var.master_password
  master_password_version = var.master_password_version
  kms_key_arns            = { primary = module.keys_primary.arn, standby = module.keys_standby.arn }
  networks = {
    primary = {
      subnet_group       = var.networks.primary.db_subnet_group
      security_group_ids = var.networks.primary.db_security_group_ids
      closed_group_ids   = var.networks.primary.db_closed_group_ids
    }
    standby = {
      subnet_group       = var.networks.standby.db_subnet_group
      security_group_ids = var.networks.standby.db_security_group_ids
      closed_group_ids   = var.networks.standby.db_closed_group_ids
    }
  }
  tags = var.tags
}

module "service_primary" {
  source    = "../../modules/ecs"
  providers = { aws = aws.primary }

  name               = var.name
  image              = var.images.primary
  tasks              = var.scaling.active
  capacity_provider  = "FARGATE"
  subnet_ids         = var.networks.primary.subnet_ids
  security_group_ids = var.networks.primary.security_group_ids
  target_group_arn   = var.networks.primary.target_group_arn
  execution_role_arn = var.execution_role_arn
  environment        = { DATABASE_HOST = module.database.endpoints[var.primary_region] }
  kms_key_arn        = module.keys_primary.arn
  tags               = var.tags
}

module "service_standby" {
  source    = "../../modules/ecs"
  providers = { aws = aws.standby }

  name               = var.name
  image              = var.images.standby
  tasks              = var.scaling.standby
  capacity_provider  = "FARGATE_SPOT"
  subnet_ids         = var.networks.standby.subnet_ids
  security_group_ids = var.networks.standby.security_group_ids
  target_group_arn   = var.networks.standby.target_group_arn
  execution_role_arn = var.execution_role_arn
  environment        = { DATABASE_HOST = module.database.endpoints[var.standby_region] }
  kms_key_arn        = module.keys_standby.arn
  tags               = var.tags
}

# Users are moved by an object here: Route 53's control plane is in us-east-1, and nothing fences an old RDS writer in a region
# that was lost, so nobody is to be led back to it by its health.
module "switch" {
  source    = "../../modules/route53-switch"
  providers = { aws = aws.standby }

  name   = var.name
  suffix = var.bucket_suffix
  tags   = var.tags
}

module "name" {
  source    = "../../modules/route53-failover"
  providers = { aws = aws.global }

  zone_id        = var.zone_id
  name           = var.domain
  type           = "CNAME"
  policy         = "failover"
  home           = var.primary_region
  switch         = module.switch.place
  check_interval = 10
  answers = {
    (var.primary_region) = { check_host = var.networks.primary.load_balancer, value = var.networks.primary.load_balancer }
    (var.standby_region) = { check_host = var.networks.standby.load_balancer, value = var.networks.standby.load_balancer }
  }
  tags = var.tags
}

module "monitoring" {
  source    = "../../modules/monitoring"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby, aws.global = aws.global }

  name          = var.name
  rpo_seconds   = var.objectives.rpo_seconds
  mail          = var.mail
  health_checks = module.name.health_checks
  rds_instances = [module.database.component.regions[var.standby_region].instance]
  ecs_services  = [module.service_standby.place]
  kms_key_arns  = { standby = module.keys_standby.arn, global = module.keys_global.arn }
  tags          = var.tags
}

data "aws_caller_identity" "this" {
  provider = aws.standby
}

# Pilotlight itself, where it is not a machine: an alarm wakes it, each minute it goes on, and its bucket is in us-east-2, as
# the state is. Alarms of health are in us-east-1, and lost with it where that is the primary region: so it also looks by itself,
# from the standby region. It hears the topic whose alarms its plan knows (output `alarms`), never the one of people: what it
# cannot do is told there, and would come back to it.
module "function" {
  source    = "../../modules/dr-lambda"
  providers = { aws = aws.standby, aws.alarms = aws.global }
  count     = var.function == null ? 0 : 1

  name          = var.name
  package       = var.function.package
  package_hash  = var.function.package_hash
  environment   = var.function_environment
  kms_key_arn   = module.keys_standby.arn
  store         = var.function.store
  alarm_topics  = { health = module.monitoring.topics.global }
  people_topics = [module.monitoring.topics.standby]
  schedules     = { watch = { schedule = "rate(5 minutes)", event = { action = "watch" } } }
  drill         = var.function.drill ? { schedule = var.test.schedule, to = var.standby_region, lasts = "${var.test.minutes}m" } : null
  # By its name: the role trusts the function, so it is made after it.
  assume_role_arns = ["arn:aws:iam::${data.aws_caller_identity.this.account_id}:role/${var.name}-pilotlight"]
  tags             = var.tags
}

module "rights" {
  source    = "../../modules/iam"
  providers = { aws = aws.global }

  name         = var.name
  trusted_arns = concat(var.controller_arns, [for f in module.function : f.role_arn])
  resources = {
    # Instances by the beginning of their names: an old writer is renamed and kept. A new replica needs the groups it joins.
    rds = concat(
      [for arn in module.database.instance_arns : "${arn}*"],
      [for region in [var.primary_region, var.standby_region] : "arn:aws:rds:${region}:*:subgrp:*"],
      [for region in [var.primary_region, var.standby_region] : "arn:aws:rds:${region}:*:pg:*"],
      [for region in [var.primary_region, var.standby_region] : "arn:aws:rds:${region}:*:og:*"],
      [module.database.monitoring_role_arn],
    )
    ecs = concat(
      [module.service_primary.service_arn, module.service_standby.service_arn],
      module.service_primary.repository_arns,
      module.service_standby.repository_arns,
    )
    route53 = concat(["arn:aws:route53:::hostedzone/${var.zone_id}"], module.switch.arns)
    sns     = [module.monitoring.topics.standby]
    alarms  = values(module.monitoring.health_alarms)
  }
  records_stay = true
  # A replica is made again under its region's key; the topic of people is encrypted with the standby's.
  keys = {
    rds = [module.keys_primary.arn, module.keys_standby.arn]
    sns = [module.keys_standby.arn]
  }
  tags = var.tags
}

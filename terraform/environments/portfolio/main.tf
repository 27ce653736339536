# S2: a portfolio platform. Aurora Global Database, services on ECS, Route 53 by health, backups copied.

provider "aws" {
  alias  = "primary"
  region = var.primary_region
}

provider "aws" {
  alias  = "standby"
  region = var.standby_region
}

# Figures of Route 53's health checks and the settings of Global Accelerator and IAM are where AWS keeps them.
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

module "keys_global" {
  source    = "../../modules/keys"
  providers = { aws = aws.global }
  name      = "${var.name}-health"
  tags      = var.tags
}

locals {
  keys = { primary = module.keys_primary.arn, standby = module.keys_standby.arn }
}

module "database" {
  source    = "../../modules/aurora-global"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby }

  name                    = var.name
  instance_class          = var.database.instance_class
  instances               = var.database.instances
  master_password         = var.master_password
  master_password_version = var.master_password_version
  kms_key_arns            = local.keys
  networks                = { primary = var.networks.primary.database, standby = var.networks.standby.database }
  tags                    = var.tags
}

module "service_primary" {
  source    = "../../modules/ecs"
  providers = { aws = aws.primary }
  for_each  = var.services

  name               = each.key
  image              = each.value.images.primary
  tasks              = each.value.active
  subnet_ids         = var.networks.primary.subnet_ids
  security_group_ids = var.networks.primary.security_group_ids
  target_group_arn   = one(each.value.target_groups[*].primary)
  execution_role_arn = var.execution_role_arn
  environment        = { DATABASE_HOST = module.database.endpoints[var.primary_region] }
  kms_key_arn        = local.keys.primary
  tags               = var.tags
}

module "service_standby" {
  source    = "../../modules/ecs"
  providers = { aws = aws.standby }
  for_each  = var.services

  name               = each.key
  image              = each.value.images.standby
  tasks              = each.value.standby
  subnet_ids         = var.networks.standby.subnet_ids
  security_group_ids = var.networks.standby.security_group_ids
  target_group_arn   = one(each.value.target_groups[*].standby)
  execution_role_arn = var.execution_role_arn
  environment        = { DATABASE_HOST = module.database.endpoints[var.standby_region] }
  kms_key_arn        = local.keys.standby
  tags               = var.tags
}

module "backup" {
  source    = "../../modules/backup"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby }

  name         = var.name
  tag          = { key = "backup", value = var.name }
  schedule     = var.backup_schedule
  kms_key_arns = local.keys
  tags         = var.tags
}

module "name" {
  source    = "../../modules/route53-failover"
  providers = { aws = aws.global }

  zone_id        = var.zone_id
  name           = var.domain
  policy         = "failover"
  home           = var.primary_region
  check_interval = 30
  answers = {
    (var.primary_region) = { check_host = var.networks.primary.load_balancer.name, alias = var.networks.primary.load_balancer }
    (var.standby_region) = { check_host = var.networks.standby.load_balancer.name, alias = var.networks.standby.load_balancer }
  }
  tags = var.tags
}

module "monitoring" {
  source    = "../../modules/monitoring"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby, aws.global = aws.global }

  name            = var.name
  rpo_seconds     = var.objectives.rpo_seconds
  mail            = var.mail
  health_checks   = module.name.health_checks
  aurora_clusters = { (module.database.component.regions[var.standby_region].cluster) = var.primary_region }
  ecs_services    = [for s in module.service_standby : s.place]
  kms_key_arns    = { standby = local.keys.standby, global = module.keys_global.arn }
  tags            = var.tags
}

module "rights" {
  source    = "../../modules/iam"
  providers = { aws = aws.global }

  name         = var.name
  trusted_arns = var.controller_arns
  resources = {
    aurora  = module.database.cluster_arns
    sns     = [module.monitoring.topics.standby]
    route53 = ["arn:aws:route53:::hostedzone/${var.zone_id}"]
    ecs = concat(
      [for s in module.service_primary : s.service_arn],
      [for s in module.service_standby : s.service_arn],
      flatten([for s in module.service_primary : s.repository_arns]),
      flatten([for s in module.service_standby : s.repository_arns]),
    )
  }
  # The topic of people is encrypted with it.
  keys = { sns = [local.keys.standby] }
  tags = var.tags
}

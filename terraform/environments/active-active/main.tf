# S4: an application that serves from two regions. Global Accelerator spreads users, Auto Scaling groups serve them, one
# region of the Aurora Global Database writes, objects replicate both ways.

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

module "objects" {
  source    = "../../modules/s3-replication"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby }

  name                = var.name
  suffix              = var.bucket_suffix
  kms_key_arn_primary = local.keys.primary
  kms_key_arn_standby = local.keys.standby
  tags                = var.tags
}

module "group_primary" {
  source    = "../../modules/autoscaling"
  providers = { aws = aws.primary }

  name               = var.name
  size               = { min = var.group.active.min, max = var.group.active.max, desired = var.group.active.desired }
  image_id           = var.machine_images.primary
  instance_type      = var.group.instance_type
  subnet_ids         = var.networks.primary.subnet_ids
  security_group_ids = var.networks.primary.security_group_ids
  target_group_arns  = var.networks.primary.target_group_arns
  kms_key_arn        = local.keys.primary
  tags               = var.tags
}

module "group_standby" {
  source    = "../../modules/autoscaling"
  providers = { aws = aws.standby }

  name               = var.name
  size               = { min = var.group.active.min, max = var.group.active.max, desired = var.group.active.desired }
  image_id           = var.machine_images.standby
  instance_type      = var.group.instance_type
  subnet_ids         = var.networks.standby.subnet_ids
  security_group_ids = var.networks.standby.security_group_ids
  target_group_arns  = var.networks.standby.target_group_arns
  kms_key_arn        = local.keys.standby
  tags               = var.tags
}

# Both regions serve, by the shares of the plan, and one alone when the other is drained: the region with the largest share
# takes all users who are nearest to it, the other as many as its share is of that.
module "addresses" {
  source    = "../../modules/global-accelerator"
  providers = { aws = aws.global }

  name       = var.name
  log_bucket = var.log_bucket
  regions = {
    (var.primary_region) = { load_balancer_arn = var.networks.primary.load_balancer_arn, dial = 100 * var.shares.primary / max(var.shares.primary, var.shares.standby) }
    (var.standby_region) = { load_balancer_arn = var.networks.standby.load_balancer_arn, dial = 100 * var.shares.standby / max(var.shares.primary, var.shares.standby) }
  }
  tags = var.tags
}

module "monitoring" {
  source    = "../../modules/monitoring"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby, aws.global = aws.global }

  name            = var.name
  rpo_seconds     = var.objectives.rpo_seconds
  mail            = var.mail
  health_checks   = {}
  aurora_clusters = { (module.database.component.regions[var.standby_region].cluster) = var.primary_region }
  buckets         = { objects = module.objects.watched }
  kms_key_arns    = { primary = local.keys.primary, standby = local.keys.standby, global = module.keys_global.arn }
  tags            = var.tags
}

module "rights" {
  source    = "../../modules/iam"
  providers = { aws = aws.global }

  name         = var.name
  trusted_arns = var.controller_arns
  resources = {
    aurora             = module.database.cluster_arns
    s3                 = module.objects.arns
    global-accelerator = module.addresses.arns
    sns                = [module.monitoring.topics.global]
    autoscaling        = [module.group_primary.group_arn, module.group_standby.group_arn]
  }
  # The topic of people, in us-east-1: either of the two regions may be the lost one. It is encrypted with this.
  keys = { sns = [module.keys_global.arn] }
  tags = var.tags
}

# S1: payments with a pilot light. EKS, Aurora, ElastiCache and S3; the standby keeps its data and one node.

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

data "aws_caller_identity" "this" {
  provider = aws.primary
}

locals {
  keys        = { primary = module.keys_primary.arn, standby = module.keys_standby.arn }
  primary_eks = "arn:aws:eks:${var.primary_region}:${data.aws_caller_identity.this.account_id}"
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

module "cache" {
  source    = "../../modules/elasticache-global"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby }

  name         = var.name
  kms_key_arns = local.keys
  networks     = { primary = var.networks.primary.cache, standby = var.networks.standby.cache }
  tags         = var.tags
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

# The primary region's cluster is the one you have; this is its other half.
module "nodes" {
  source    = "../../modules/eks-standby"
  providers = { aws = aws.standby }

  name        = "${var.name}-standby"
  size        = var.nodes
  subnet_ids  = var.networks.standby.subnet_ids
  kms_key_arn = local.keys.standby
  tags        = var.tags
}

module "images" {
  source    = "../../modules/ecr-replication"
  providers = { aws.primary = aws.primary, aws.standby = aws.standby }

  repositories = var.repositories
  kms_key_arns = local.keys
  tags         = var.tags
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

# Users are moved by an object here and not by the health of the regions: one node does not carry them, and Route 53's control
# plane is in us-east-1.
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
  policy         = "failover"
  home           = var.primary_region
  switch         = module.switch.place
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
  cache_nodes     = module.cache.standby_nodes
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
    aurora      = module.database.cluster_arns
    elasticache = module.cache.group_arns
    eks = concat(module.nodes.arns, [
      "${local.primary_eks}:cluster/${var.primary_nodes.cluster}",
      # A node group's ARN ends with an id that only AWS knows.
      "${local.primary_eks}:nodegroup/${var.primary_nodes.cluster}/${var.primary_nodes.node_group}/*",
    ])
    s3      = module.objects.arns
    sns     = [module.monitoring.topics.standby]
    route53 = concat(["arn:aws:route53:::hostedzone/${var.zone_id}"], module.switch.arns)
    # What each region needs besides, by the plan.
    needs = [local.keys.primary, local.keys.standby]
  }
  records_stay = true
  # The topic of people is encrypted with it.
  keys = { sns = [local.keys.standby] }
  tags = var.tags
}

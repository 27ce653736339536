# An RDS for PostgreSQL instance and its read replica in another region, both encrypted, each in two zones, both
# protected from deletion. The replica keeps backups of its own: without them it cannot be promoted quickly.

data "aws_region" "primary" {
  provider = aws.primary
}

data "aws_region" "standby" {
  provider = aws.standby
}

module "monitoring_role" {
  source    = "./monitoring-role"
  providers = { aws = aws.primary }

  name = var.name
  tags = var.tags
}

# TLS only, and what readers of a slow query need.
resource "aws_db_parameter_group" "primary" {
  provider = aws.primary
  name     = "${var.name}-${data.aws_region.primary.name}"
  family   = "postgres${split(".", var.engine_version)[0]}"
  tags     = var.tags

  dynamic "parameter" {
    for_each = local.parameters
    content {
      name  = parameter.key
      value = parameter.value
    }
  }
}

resource "aws_db_parameter_group" "standby" {
  provider = aws.standby
  name     = "${var.name}-${data.aws_region.standby.name}"
  family   = "postgres${split(".", var.engine_version)[0]}"
  tags     = var.tags

  dynamic "parameter" {
    for_each = local.parameters
    content {
      name  = parameter.key
      value = parameter.value
    }
  }
}

locals {
  # What Pilotlight's plan, its rights and the service know each region's instance by. When home joins again the instance made
  # here is renamed and kept, and a replica that no state knows takes its name: so outputs are made of names, not of what is there.
  names = {
    primary = "${var.name}-${data.aws_region.primary.name}"
    standby = "${var.name}-${data.aws_region.standby.name}"
  }
  parameters = { "rds.force_ssl" = "1", "log_min_duration_statement" = "1000", "log_statement" = "ddl" }
}

resource "aws_db_instance" "primary" {
  #checkov:skip=CKV2_AWS_69:rds.force_ssl is set in the parameter group; the check does not follow `dynamic`
  provider                              = aws.primary
  identifier                            = local.names.primary
  engine                                = "postgres"
  engine_version                        = var.engine_version
  instance_class                        = var.instance_class
  allocated_storage                     = var.storage_gib
  max_allocated_storage                 = var.storage_gib * 4
  storage_type                          = "gp3"
  storage_encrypted                     = true
  kms_key_id                            = var.kms_key_arns.primary
  db_name                               = var.database
  username                              = var.master_username
  password_wo                           = var.master_password
  password_wo_version                   = var.master_password_version
  iam_database_authentication_enabled   = true
  multi_az                              = true
  db_subnet_group_name                  = var.networks.primary.subnet_group
  vpc_security_group_ids                = var.networks.primary.security_group_ids
  parameter_group_name                  = aws_db_parameter_group.primary.name
  backup_retention_period               = var.backup_days.primary
  copy_tags_to_snapshot                 = true
  deletion_protection                   = true
  skip_final_snapshot                   = false
  final_snapshot_identifier             = "${var.name}-${data.aws_region.primary.name}-final"
  auto_minor_version_upgrade            = true
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  monitoring_interval                   = 60
  monitoring_role_arn                   = module.monitoring_role.arn
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arns.primary
  performance_insights_retention_period = 7
  tags                                  = var.tags

  lifecycle {
    ignore_changes = [
      # After a failover this instance may follow the other one; setting it back would make a new instance.
      replicate_source_db,
      # Pilotlight renames and keeps the instance that wrote before; renaming it back would collide with its successor.
      identifier,
      # Pilotlight shuts clients out by other groups in a planned move; Terraform must not let them in again.
      vpc_security_group_ids,
      # How far a planned move has come.
      tags["pilotlight:rebooted"], tags["pilotlight:stopped-at"],
      tags_all["pilotlight:rebooted"], tags_all["pilotlight:stopped-at"],
      # A storage that grew by itself does not shrink.
      allocated_storage,
    ]
  }
}

resource "aws_db_instance" "standby" {
  #checkov:skip=CKV2_AWS_69:rds.force_ssl is set in the parameter group; the check does not follow `dynamic`
  provider                              = aws.standby
  identifier                            = local.names.standby
  replicate_source_db                   = aws_db_instance.primary.arn
  instance_class                        = var.standby_instance_class
  max_allocated_storage                 = var.storage_gib * 4
  storage_type                          = "gp3"
  storage_encrypted                     = true
  kms_key_id                            = var.kms_key_arns.standby
  iam_database_authentication_enabled   = true
  multi_az                              = true
  db_subnet_group_name                  = var.networks.standby.subnet_group
  vpc_security_group_ids                = var.networks.standby.security_group_ids
  parameter_group_name                  = aws_db_parameter_group.standby.name
  backup_retention_period               = var.backup_days.standby
  copy_tags_to_snapshot                 = true
  deletion_protection                   = true
  skip_final_snapshot                   = false
  final_snapshot_identifier             = "${var.name}-${data.aws_region.standby.name}-final"
  auto_minor_version_upgrade            = true
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  monitoring_interval                   = 60
  monitoring_role_arn                   = module.monitoring_role.arn
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arns.standby
  performance_insights_retention_period = 7
  tags                                  = var.tags

  lifecycle {
    ignore_changes = [
      # Pilotlight promotes the replica: it follows nobody then. Setting it back would throw the new writer away.
      replicate_source_db,
      # Pilotlight renames and keeps the instance that wrote before; renaming it back would collide with its successor.
      identifier,
      # Pilotlight shuts clients out by other groups in a planned move; Terraform must not let them in again.
      vpc_security_group_ids,
      # How far a planned move has come.
      tags["pilotlight:rebooted"], tags["pilotlight:stopped-at"],
      tags_all["pilotlight:rebooted"], tags_all["pilotlight:stopped-at"],
    ]
  }
}

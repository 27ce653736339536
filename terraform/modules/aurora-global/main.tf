# An Aurora Global Database: one cluster per region, encrypted, instances in two zones, protected from deletion. Which
# cluster writes is moved by Pilotlight, past Terraform; nothing here says it after the first apply.

data "aws_region" "primary" {
  provider = aws.primary
}

data "aws_region" "standby" {
  provider = aws.standby
}

resource "aws_rds_global_cluster" "this" {
  provider                  = aws.primary
  global_cluster_identifier = var.name
  engine                    = "aurora-postgresql"
  engine_version            = var.engine_version
  database_name             = var.database
  storage_encrypted         = true
  deletion_protection       = true
  tags                      = var.tags

  lifecycle {
    ignore_changes = [
      # Known to AWS only while the first cluster leads; asked for again it would make a new global cluster.
      database_name,
    ]
  }
}

resource "aws_rds_cluster_parameter_group" "primary" {
  provider = aws.primary
  name     = "${var.name}-${data.aws_region.primary.name}"
  family   = "aurora-postgresql${split(".", var.engine_version)[0]}"
  tags     = var.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }
}

resource "aws_rds_cluster" "primary" {
  #checkov:skip=CKV2_AWS_8:The module `backup` takes it by its tag, where its own backups are not enough
  provider                            = aws.primary
  cluster_identifier                  = "${var.name}-${data.aws_region.primary.name}"
  global_cluster_identifier           = aws_rds_global_cluster.this.global_cluster_identifier
  engine                              = aws_rds_global_cluster.this.engine
  engine_version                      = aws_rds_global_cluster.this.engine_version
  database_name                       = var.database
  master_username                     = var.master_username
  master_password_wo                  = var.master_password
  master_password_wo_version          = var.master_password_version
  iam_database_authentication_enabled = true
  storage_encrypted                   = true
  kms_key_id                          = var.kms_key_arns.primary
  db_subnet_group_name                = var.networks.primary.subnet_group
  db_cluster_parameter_group_name     = aws_rds_cluster_parameter_group.primary.name
  vpc_security_group_ids              = var.networks.primary.security_group_ids
  backup_retention_period             = var.backup_days.primary
  copy_tags_to_snapshot               = true
  deletion_protection                 = true
  skip_final_snapshot                 = false
  final_snapshot_identifier           = "${var.name}-${data.aws_region.primary.name}-final"
  enabled_cloudwatch_logs_exports     = ["postgresql"]
  tags                                = var.tags

  lifecycle {
    ignore_changes = [
      # A cluster that Pilotlight took out of the global one stays out: adding it again is a decision of people.
      global_cluster_identifier,
      # Set by AWS on the side that follows, which is this one after a failover.
      replication_source_identifier,
      # Raised through the global cluster.
      engine_version,
      # Pilotlight shuts clients out of an old writer that was left behind.
      vpc_security_group_ids,
    ]
  }
}

resource "aws_rds_cluster_parameter_group" "standby" {
  provider = aws.standby
  name     = "${var.name}-${data.aws_region.standby.name}"
  family   = "aurora-postgresql${split(".", var.engine_version)[0]}"
  tags     = var.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }
}

resource "aws_rds_cluster" "standby" {
  #checkov:skip=CKV2_AWS_8:The module `backup` takes it by its tag, where its own backups are not enough
  provider                            = aws.standby
  cluster_identifier                  = "${var.name}-${data.aws_region.standby.name}"
  global_cluster_identifier           = aws_rds_global_cluster.this.global_cluster_identifier
  engine                              = aws_rds_global_cluster.this.engine
  engine_version                      = aws_rds_global_cluster.this.engine_version
  iam_database_authentication_enabled = true
  storage_encrypted                   = true
  kms_key_id                          = var.kms_key_arns.standby
  db_subnet_group_name                = var.networks.standby.subnet_group
  db_cluster_parameter_group_name     = aws_rds_cluster_parameter_group.standby.name
  vpc_security_group_ids              = var.networks.standby.security_group_ids
  backup_retention_period             = var.backup_days.standby
  copy_tags_to_snapshot               = true
  deletion_protection                 = true
  skip_final_snapshot                 = false
  final_snapshot_identifier           = "${var.name}-${data.aws_region.standby.name}-final"
  enabled_cloudwatch_logs_exports     = ["postgresql"]
  tags                                = var.tags

  lifecycle {
    ignore_changes = [
      # As above: Pilotlight may take it out and promote it alone.
      global_cluster_identifier,
      # Set by AWS on the side that follows; gone after a failover.
      replication_source_identifier,
      # Raised through the global cluster.
      engine_version,
      # Pilotlight shuts clients out of an old writer that was left behind.
      vpc_security_group_ids,
    ]
  }

  # AWS takes a second cluster only when the first one has an instance.
  depends_on = [aws_rds_cluster_instance.primary]
}

resource "aws_rds_cluster_instance" "primary" {
  #checkov:skip=CKV_AWS_226:Minor versions of both regions must not part; they are raised in the global cluster
  provider                        = aws.primary
  count                           = var.instances.primary
  identifier                      = "${aws_rds_cluster.primary.cluster_identifier}-${count.index + 1}"
  cluster_identifier              = aws_rds_cluster.primary.id
  engine                          = aws_rds_cluster.primary.engine
  instance_class                  = var.instance_class
  auto_minor_version_upgrade      = false
  publicly_accessible             = false
  monitoring_interval             = 60
  monitoring_role_arn             = module.monitoring_role.arn
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arns.primary
  tags                            = var.tags
}

resource "aws_rds_cluster_instance" "standby" {
  #checkov:skip=CKV_AWS_226:Minor versions of both regions must not part; they are raised in the global cluster
  provider                        = aws.standby
  count                           = var.instances.standby
  identifier                      = "${aws_rds_cluster.standby.cluster_identifier}-${count.index + 1}"
  cluster_identifier              = aws_rds_cluster.standby.id
  engine                          = aws_rds_cluster.standby.engine
  instance_class                  = var.instance_class
  auto_minor_version_upgrade      = false
  publicly_accessible             = false
  monitoring_interval             = 60
  monitoring_role_arn             = module.monitoring_role.arn
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arns.standby
  tags                            = var.tags
}

module "monitoring_role" {
  source    = "../database/monitoring-role"
  providers = { aws = aws.primary }

  name = var.name
  tags = var.tags
}

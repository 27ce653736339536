# An ElastiCache Global Datastore (Valkey): one replication group per region, encrypted at rest and in transit, each in
# two zones. Which group writes is moved by Pilotlight, past Terraform.

data "aws_region" "primary" {
  provider = aws.primary
}

data "aws_region" "standby" {
  provider = aws.standby
}

resource "aws_elasticache_replication_group" "primary" {
  #checkov:skip=CKV_AWS_31:A token would stand in Terraform's state; TLS and security groups guard the cache
  #checkov:skip=CKV2_AWS_50:Automatic failover is on; the check does not see it beside a global group
  provider                   = aws.primary
  replication_group_id       = "${var.name}-${data.aws_region.primary.name}"
  description                = "${var.name}, first home"
  engine                     = "valkey"
  engine_version             = var.engine_version
  node_type                  = var.node_type
  num_cache_clusters         = var.nodes
  automatic_failover_enabled = true
  multi_az_enabled           = true
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arns.primary
  transit_encryption_enabled = true
  subnet_group_name          = var.networks.primary.subnet_group
  security_group_ids         = var.networks.primary.security_group_ids
  snapshot_retention_limit   = 7
  tags                       = var.tags

  lifecycle {
    ignore_changes = [
      # Set by AWS when the group becomes a member, and gone when it is taken out.
      global_replication_group_id,
      # Raised through the global group, which owns both.
      engine_version,
      node_type,
    ]
  }
}

resource "aws_elasticache_global_replication_group" "this" {
  provider                             = aws.primary
  global_replication_group_id_suffix   = var.name
  global_replication_group_description = "${var.name} in two regions"
  primary_replication_group_id         = aws_elasticache_replication_group.primary.replication_group_id
  automatic_failover_enabled           = true

  lifecycle {
    ignore_changes = [
      # Pilotlight makes the other group the primary. Setting it back would replace the whole global group.
      primary_replication_group_id,
    ]
  }
}

resource "aws_elasticache_replication_group" "standby" {
  #checkov:skip=CKV_AWS_29:Taken over from the global group; AWS refuses the setting on a second member
  #checkov:skip=CKV_AWS_30:Taken over from the global group; AWS refuses the setting on a second member
  #checkov:skip=CKV_AWS_31:A token would stand in Terraform's state; TLS and security groups guard the cache
  #checkov:skip=CKV2_AWS_50:Automatic failover is on; the check does not see it beside a global group
  provider                    = aws.standby
  replication_group_id        = "${var.name}-${data.aws_region.standby.name}"
  description                 = "${var.name}, first standby"
  global_replication_group_id = aws_elasticache_global_replication_group.this.global_replication_group_id
  num_cache_clusters          = var.nodes
  automatic_failover_enabled  = true
  multi_az_enabled            = true
  kms_key_id                  = var.kms_key_arns.standby
  subnet_group_name           = var.networks.standby.subnet_group
  security_group_ids          = var.networks.standby.security_group_ids
  snapshot_retention_limit    = 7
  tags                        = var.tags

  lifecycle {
    ignore_changes = [
      # A group that was taken out of the global one stays out: setting it back would replace the cache.
      global_replication_group_id,
      # Taken over from the global group and not said here, so the provider would have it be Redis: by a new cache.
      engine,
      # Raised through the global group, which owns both.
      engine_version,
      node_type,
    ]
  }
}

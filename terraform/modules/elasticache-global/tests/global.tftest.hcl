# Without an account: what the module would make, and what it leaves alone.

mock_provider "aws" {
  alias = "primary"
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/r" }
  }

}

mock_provider "aws" {
  alias = "standby"
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

}

variables {
  name = "shop"
  kms_key_arns = {
    primary = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
  }
  networks = {
    primary = { subnet_group = "data", security_group_ids = ["sg-1"] }
    standby = { subnet_group = "data", security_group_ids = ["sg-2"] }
  }
}

run "global_encrypted_and_in_two_zones" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  assert {
    condition = (
      tobool(aws_elasticache_replication_group.primary.at_rest_encryption_enabled) &&
      aws_elasticache_replication_group.primary.transit_encryption_enabled &&
      alltrue([for g in [aws_elasticache_replication_group.primary, aws_elasticache_replication_group.standby] : g.multi_az_enabled && g.num_cache_clusters == 2])
    )
    error_message = "a group is not as safe as the module says"
  }

  assert {
    condition     = output.component.regions["us-west-2"].group == "shop-us-west-2"
    error_message = "the plan would name another group"
  }

  assert {
    condition     = output.standby_nodes == { shop-us-west-2 = ["shop-us-west-2-001", "shop-us-west-2-002"] }
    error_message = "an alarm would watch nodes that are not there"
  }
}

# What stands for a failover: AWS names another primary than the one in the code.
run "a_moved_primary_is_left_alone" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  variables {
    name = "another"
  }

  assert {
    condition     = aws_elasticache_global_replication_group.this.primary_replication_group_id == "shop-us-east-1"
    error_message = "Terraform would undo a failover"
  }
}

run "one_small_node_is_refused" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  command = plan

  variables {
    nodes     = 1
    node_type = "cache.t4g.small"
  }

  expect_failures = [var.nodes, var.node_type]
}

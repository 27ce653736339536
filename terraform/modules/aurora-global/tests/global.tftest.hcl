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
  name            = "shop"
  master_password = "not-a-secret"
  kms_key_arns = {
    primary = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
  }
  networks = {
    primary = { subnet_group = "data", security_group_ids = ["sg-1"] }
    standby = { subnet_group = "data", security_group_ids = ["sg-2"] }
  }
}

run "global_and_safe" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  assert {
    condition = alltrue([
      for c in [aws_rds_cluster.primary, aws_rds_cluster.standby] :
      c.storage_encrypted && c.deletion_protection && !c.skip_final_snapshot && c.global_cluster_identifier == "shop"
    ]) && aws_rds_global_cluster.this.deletion_protection && aws_rds_global_cluster.this.storage_encrypted
    error_message = "a cluster is not as safe as the module says"
  }

  assert {
    condition     = length(aws_rds_cluster_instance.primary) == 2 && length(aws_rds_cluster_instance.standby) == 2
    error_message = "a cluster is in one zone"
  }

  assert {
    condition     = output.component.global_cluster == "shop" && output.component.regions["us-west-2"].cluster == "shop-us-west-2"
    error_message = "the plan would name other clusters"
  }
}

# What stands for a detach: the global cluster is another one than the members were made in.
run "a_member_is_not_moved_between_global_clusters" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  variables {
    name = "another"
  }

  assert {
    condition     = aws_rds_cluster.primary.global_cluster_identifier == "shop" && aws_rds_cluster.standby.global_cluster_identifier == "shop"
    error_message = "Terraform would add a member that was taken out"
  }
}

run "a_standby_without_an_instance_is_refused" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  command = plan

  variables {
    instances = { primary = 2, standby = 0 }
  }

  expect_failures = [var.instances]
}

# Without an account: what the module would make.

mock_provider "aws" {
  alias = "primary"
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/r" }
  }
  mock_resource "aws_backup_vault" {
    defaults = { arn = "arn:aws:backup:us-east-1:123456789012:backup-vault:shop" }
  }
}

mock_provider "aws" {
  alias = "standby"
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_resource "aws_backup_vault" {
    defaults = { arn = "arn:aws:backup:us-west-2:123456789012:backup-vault:shop-copies" }
  }
}

variables {
  name = "shop"
  tag  = { key = "backup", value = "daily" }
  kms_key_arns = {
    primary = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
  }
}

run "every_backup_is_copied_to_the_other_region" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  assert {
    condition = alltrue([
      for rule in aws_backup_plan.this.rule :
      one(rule.copy_action).destination_vault_arn == aws_backup_vault.standby.arn && rule.lifecycle[0].delete_after == 30 && one(rule.copy_action).lifecycle[0].delete_after == 14
    ])
    error_message = "a backup stays in the region that may be lost, or is kept for another time"
  }

  assert {
    condition     = aws_backup_vault.primary.kms_key_arn != aws_backup_vault.standby.kms_key_arn && aws_backup_vault_lock_configuration.standby.min_retention_days == 7
    error_message = "the copies fall with the first region's key, or anybody may delete them"
  }
}

run "a_rate_is_no_schedule" {
  command = plan
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  variables {
    schedule = "daily"
  }

  expect_failures = [var.schedule]
}

# Without an account: what the module would make, in both directions.

mock_provider "aws" {
  alias = "primary"
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::shop-us-east-1-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/forth" }
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
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::shop-us-west-2-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/back" }
  }
}

variables {
  name                = "shop"
  suffix              = "1"
  kms_key_arn_primary = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  kms_key_arn_standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
}

run "both_rules_copy_everything_and_one_is_enabled" {
  command = apply

  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  assert {
    condition     = aws_s3_bucket.primary.bucket == "shop-us-east-1-1" && aws_s3_bucket.standby.bucket == "shop-us-west-2-1"
    error_message = "a bucket's name does not say its region"
  }

  assert {
    condition     = module.forth.rule.destination[0].bucket == "arn:aws:s3:::shop-us-west-2-1"
    error_message = "forth does not lead to the standby bucket"
  }

  assert {
    condition     = module.back.rule.destination[0].bucket == "arn:aws:s3:::shop-us-east-1-1"
    error_message = "back does not lead to the primary bucket"
  }

  assert {
    condition = alltrue([
      for rule in [module.forth.rule, module.back.rule] :
      rule.delete_marker_replication[0].status == "Enabled" &&
      rule.destination[0].replication_time[0].status == "Enabled" &&
      rule.destination[0].metrics[0].status == "Enabled" &&
      rule.source_selection_criteria[0].sse_kms_encrypted_objects[0].status == "Enabled"
    ])
    error_message = "a direction leaves something out"
  }

  assert {
    condition     = module.forth.rule.status == "Enabled" && module.back.rule.status == "Disabled"
    error_message = "not exactly the primary bucket is copied"
  }

  assert {
    condition     = output.watched == { primary = "shop-us-east-1-1", standby = "shop-us-west-2-1", rule = "everything" }
    error_message = "alarms would watch something else"
  }

  assert {
    condition     = output.component.existing_copied
    error_message = "a plan would wait for a batch replication of buckets that were empty"
  }
}

run "a_name_that_s3_refuses_is_refused_here" {
  command = plan

  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  variables {
    name = "Shop_1"
  }

  expect_failures = [var.name]
}

# Without an account: a rule that Pilotlight has turned round stays as it is.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/forth" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/forth" }
  }
}

variables {
  name    = "shop-forth"
  enabled = true
  source_bucket = {
    id          = "shop-us-east-1-1"
    arn         = "arn:aws:s3:::shop-us-east-1-1"
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }
  target_bucket = {
    arn         = "arn:aws:s3:::shop-us-west-2-1"
    kms_key_arn = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
  }
  bucket_versions = ["Enabled", "Enabled"]
  tags            = {}
}

run "enabled_at_first" {
  assert {
    condition     = output.rule.status == "Enabled"
    error_message = "nothing is copied"
  }
}

# What stands for a move: the module is applied with the other value, as if the rule had been turned past Terraform.
run "what_pilotlight_moves_is_left_alone" {
  variables {
    enabled = false
  }

  assert {
    condition     = output.rule.status == "Enabled"
    error_message = "Terraform would copy from the side that does not serve"
  }
}

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

}

mock_provider "aws" {
  alias = "standby"
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }

}

variables {
  repositories = ["web", "worker"]
  kms_key_arns = {
    primary = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
  }
}

run "every_repository_is_on_both_sides_and_in_the_rule" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  assert {
    condition = (
      keys(aws_ecr_repository.primary) == keys(aws_ecr_repository.standby) &&
      alltrue([for r in values(aws_ecr_repository.standby) : r.image_tag_mutability == "IMMUTABLE" && r.encryption_configuration[0].encryption_type == "KMS"])
    )
    error_message = "a repository is missing or weaker in the standby region"
  }

  assert {
    condition = (
      aws_ecr_replication_configuration.this.replication_configuration[0].rule[0].destination[0].region == "us-west-2" &&
      toset([for f in aws_ecr_replication_configuration.this.replication_configuration[0].rule[0].repository_filter : f.filter]) == toset(["web", "worker"])
    )
    error_message = "the rule leaves something out"
  }
}

run "no_repository_is_refused" {
  command = plan
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  variables {
    repositories = []
  }

  expect_failures = [var.repositories]
}

# Without an account: what the module would make.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222" }
  }
}

variables {
  name = "shop"
}

run "renewed_and_slow_to_go" {
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30 && aws_kms_alias.this.name == "alias/shop"
    error_message = "the key does not last as it should"
  }
}

run "auto_scaling_starts_instances_with_it" {
  assert {
    condition = alltrue([
      for sid in ["Instances", "InstancesGrant"] : anytrue([
        for said in data.aws_iam_policy_document.this.statement : said.sid == sid && anytrue([
          for c in said.condition : c.variable == "aws:PrincipalArn" && endswith(one(c.values), "/AWSServiceRoleForAutoScaling")
        ])
      ])
    ])
    error_message = "groups with encrypted disks could not grow"
  }
}

run "a_name_that_no_alias_takes_is_refused" {
  command = plan

  variables {
    name = "Shop"
  }

  expect_failures = [var.name]
}

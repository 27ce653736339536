# Without an account: which calls the policies would allow, and on what.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/shop-pilotlight" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/p" }
  }
}

variables {
  name         = "shop"
  trusted_arns = ["arn:aws:iam::123456789012:role/controller"]
  resources = {
    ecs         = ["arn:aws:ecs:us-west-2:123456789012:service/web/web"]
    aurora      = ["arn:aws:rds::123456789012:global-cluster:shop", "arn:aws:rds:us-west-2:123456789012:cluster:shop"]
    elasticache = ["arn:aws:elasticache::123456789012:globalreplicationgroup:shop", "arn:aws:elasticache:us-west-2:123456789012:replicationgroup:shop"]
  }
}

run "one_policy_per_driver_of_the_plan" {
  assert {
    condition     = toset(keys(aws_iam_policy.driver)) == toset(["aurora", "ecs", "elasticache"])
    error_message = "a driver that the plan does not use has rights"
  }

  assert {
    condition     = join(" ", output.calls.ecs.named) == "ecr:DescribeImages ecs:DescribeServices ecs:UpdateService" && join(" ", output.calls.ecs.any) == "application-autoscaling:DescribeScalableTargets ecs:DescribeTaskDefinition"
    error_message = "a call on every service of the account"
  }

  assert {
    condition     = join(" ", output.calls.aurora.named) == "rds:FailoverGlobalCluster rds:SwitchoverGlobalCluster" && join(" ", output.calls.elasticache.named) == "elasticache:FailoverGlobalReplicationGroup"
    error_message = "a detach, or the way back from one, is allowed that nobody allowed"
  }
}

run "the_role_may_simulate_its_own_rights_and_no_others" {
  assert {
    condition     = join(" ", data.aws_iam_policy_document.self.statement[0].actions) == "iam:SimulatePrincipalPolicy" && join(" ", data.aws_iam_policy_document.self.statement[0].resources) == aws_iam_role.this.arn
    error_message = "`check --live` could not tell a missing right, or could read the rights of others"
  }
}

run "a_detach_is_allowed_when_asked_for" {
  variables {
    allow_detach = true
  }

  assert {
    condition     = alltrue([for call in ["rds:RemoveFromGlobalCluster", "rds:CreateDBCluster", "rds:ModifyDBInstance"] : contains(output.calls.aurora.named, call)]) && contains(output.calls.elasticache.named, "elasticache:DisassociateGlobalReplicationGroup")
    error_message = "`detach: allowed`, or the way back from it, would be denied by AWS"
  }
}

run "a_snapshot_before_a_planned_move_detaches_nothing" {
  variables {
    allow_snapshot = true
  }

  assert {
    condition     = join(" ", output.calls.aurora.named) == "rds:AddTagsToResource rds:CreateDBClusterSnapshot rds:FailoverGlobalCluster rds:SwitchoverGlobalCluster"
    error_message = "`snapshot: always` would be denied by AWS, or gives more than it needs: ${join(" ", output.calls.aurora.named)}"
  }
}

run "keys_are_named_whole_and_for_drivers_of_the_plan" {
  command = plan

  variables {
    keys = { ecs = ["arn:aws:kms:us-west-2:123456789012:key/2"] }
  }

  expect_failures = [var.keys]
}

run "nor_is_an_alias_or_every_key_taken" {
  command = plan

  variables {
    resources = { sns = ["arn:aws:sns:us-west-2:123456789012:shop-incidents"] }
    keys      = { sns = ["arn:aws:kms:us-west-2:123456789012:alias/shop", "arn:aws:kms:us-west-2:123456789012:key/*"] }
  }

  expect_failures = [var.keys]
}

run "everything_and_everybody_are_refused" {
  command = plan

  variables {
    resources    = { ecs = ["*"] }
    trusted_arns = ["*"]
  }

  expect_failures = [var.resources, var.trusted_arns]
}

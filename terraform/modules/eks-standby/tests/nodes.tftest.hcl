# Without an account: what the module would make.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/r" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
}

variables {
  name        = "payments"
  subnet_ids  = ["subnet-1", "subnet-2"]
  kms_key_arn = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
}

run "private_encrypted_and_logged" {
  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.kms_key_arn
    error_message = "the cluster is open, or its secrets are in clear"
  }

  assert {
    condition     = output.place == { cluster = "payments", node_group = "payments-general" }
    error_message = "the plan would name another group"
  }
}

# What stands for a failover: the module is applied with other numbers, as if they had been changed past Terraform.
run "what_pilotlight_moves_is_left_alone" {
  variables {
    size = { min = 4, max = 20, desired = 8 }
  }

  assert {
    condition     = aws_eks_node_group.this.scaling_config[0].desired_size == 1 && aws_eks_node_group.this.scaling_config[0].max_size == 3
    error_message = "Terraform would move what Pilotlight moves"
  }
}

run "sizes_that_contradict_are_refused" {
  command = plan

  variables {
    size = { min = 4, max = 3, desired = 8 }
  }

  expect_failures = [var.size]
}

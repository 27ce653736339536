# Without an account: what the module would make.

mock_provider "aws" {
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
}

variables {
  name               = "app"
  size               = { min = 1, max = 3, desired = 2 }
  image_id           = "ami-1"
  instance_type      = "m6i.large"
  subnet_ids         = ["subnet-1", "subnet-2"]
  security_group_ids = ["sg-1"]
  kms_key_arn        = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
}

run "encrypted_and_in_two_zones" {
  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted == "true" && aws_launch_template.this.metadata_options[0].http_tokens == "required"
    error_message = "a disk in clear, or metadata without a token"
  }

  assert {
    condition     = length(aws_autoscaling_group.this.vpc_zone_identifier) == 2 && output.place == "app"
    error_message = "the group is in one zone"
  }
}

# What stands for a failover: the module is applied with other numbers, as if they had been changed past Terraform.
run "what_pilotlight_moves_is_left_alone" {
  variables {
    size = { min = 4, max = 20, desired = 8 }
  }

  assert {
    condition     = aws_autoscaling_group.this.desired_capacity == 2 && aws_autoscaling_group.this.min_size == 1 && aws_autoscaling_group.this.max_size == 3
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

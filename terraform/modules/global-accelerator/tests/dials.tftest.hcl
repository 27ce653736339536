# Without an account: what the module would make.

mock_provider "aws" {
  mock_resource "aws_globalaccelerator_accelerator" {
    defaults = { id = "arn:aws:globalaccelerator::123456789012:accelerator/1" }
  }
  mock_resource "aws_globalaccelerator_listener" {
    defaults = { id = "arn:aws:globalaccelerator::123456789012:accelerator/1/listener/2" }
  }
}

variables {
  name       = "shop"
  log_bucket = "logs"
  regions = {
    us-west-2 = { load_balancer_arn = "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/a/1", dial = 100 }
    eu-west-1 = { load_balancer_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/2", dial = 100 }
  }
}

run "a_group_per_region" {
  assert {
    condition     = alltrue([for region, g in aws_globalaccelerator_endpoint_group.this : g.traffic_dial_percentage == 100 && g.endpoint_group_region == region])
    error_message = "a region gets no users"
  }
}

# What stands for a drain: the module is applied with another dial, as if it had been turned past Terraform.
run "what_pilotlight_moves_is_left_alone" {
  variables {
    regions = {
      us-west-2 = { load_balancer_arn = "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/b/1", dial = 0 }
      eu-west-1 = { load_balancer_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/a/2", dial = 100 }
    }
  }

  assert {
    condition     = aws_globalaccelerator_endpoint_group.this["us-west-2"].traffic_dial_percentage == 100 && endswith(one(aws_globalaccelerator_endpoint_group.this["us-west-2"].endpoint_configuration).endpoint_id, "loadbalancer/app/a/1")
    error_message = "Terraform would turn a dial that Pilotlight turns"
  }
}

run "a_dial_beyond_its_end_is_refused" {
  command = plan

  # Two regions: one alone would be refused for that.
  variables {
    regions = {
      us-west-2 = { load_balancer_arn = "arn:aws:elasticloadbalancing:us-west-2:1:loadbalancer/app/a/1", dial = 101 }
      eu-west-1 = { load_balancer_arn = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/2", dial = 0 }
    }
  }

  expect_failures = [var.regions]
}

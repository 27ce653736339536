# Without an account: what the module would make.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-west-2:123456789012:task-definition/web:1" }
  }
}

variables {
  name               = "web"
  image              = "123456789012.dkr.ecr.us-west-2.amazonaws.com/web@sha256:0"
  tasks              = 0
  capacity_provider  = "FARGATE_SPOT"
  subnet_ids         = ["subnet-1", "subnet-2"]
  security_group_ids = ["sg-1"]
  execution_role_arn = "arn:aws:iam::123456789012:role/pull"
  kms_key_arn        = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
}

run "a_pilot_light_that_can_grow_on_demand" {
  assert {
    condition     = aws_ecs_service.this.desired_count == 0 && output.place == { cluster = "web", service = "web" }
    error_message = "the service is not as the plan names it"
  }

  assert {
    condition     = contains(aws_ecs_cluster_capacity_providers.this.capacity_providers, "FARGATE")
    error_message = "Pilotlight could not leave spot"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem
    error_message = "the container may change itself"
  }
}

# What stands for a failover: the module is applied with other numbers, as if they had been changed past Terraform.
run "what_pilotlight_moves_is_left_alone" {
  variables {
    tasks             = 6
    capacity_provider = "FARGATE"
  }

  assert {
    condition = (
      aws_ecs_service.this.desired_count == 0 &&
      one(aws_ecs_service.this.capacity_provider_strategy).capacity_provider == "FARGATE_SPOT"
    )
    error_message = "Terraform would move what Pilotlight moves"
  }
}

run "one_zone_is_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-1"]
    tasks      = -1
  }

  expect_failures = [var.subnet_ids, var.tasks]
}

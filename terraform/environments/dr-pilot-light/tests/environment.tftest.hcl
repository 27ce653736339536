# Without an account: the environment as terraform.tfvars makes it, and what the plan of Pilotlight will say.

mock_provider "aws" {
  alias  = "primary"
  source = "../../mocks/us-east-1"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/primary" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:web-incidents" }
  }
  mock_resource "aws_db_instance" {
    defaults = { arn = "arn:aws:rds:us-east-1:123456789012:db:web-us-east-1" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1" }
  }
}

mock_provider "aws" {
  alias  = "standby"
  source = "../../mocks/us-west-2"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:123456789012:key/standby" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-west-2:123456789012:web-incidents" }
  }
  mock_resource "aws_db_instance" {
    defaults = { arn = "arn:aws:rds:us-west-2:123456789012:db:web-us-west-2" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-west-2:123456789012:task-definition/web:1" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:us-west-2:123456789012:function:web-recovery" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-west-2:123456789012:web-recovery-failed" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/web-recovery" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:us-west-2:123456789012:rule/r" }
  }
}

mock_provider "aws" {
  alias  = "global"
  source = "../../mocks/us-east-1"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/global" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:web-incidents" }
  }
  mock_resource "aws_db_instance" {
    defaults = { arn = "arn:aws:rds:us-east-1:123456789012:db:web-us-east-1" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1" }
  }
}

variables {
  master_password = "not-a-secret"
}

run "a_pilot_light_and_its_plan" {
  assert {
    condition = output.pilotlight.components.web == {
      kind             = "ecs"
      active           = 6
      standby          = 1
      active_provider  = "FARGATE"
      standby_provider = "FARGATE_SPOT"
      regions = {
        us-east-1 = { cluster = "web", service = "web" }
        us-west-2 = { cluster = "web", service = "web" }
      }
    }
    error_message = "the plan would name other services"
  }

  assert {
    condition     = output.pilotlight.drill == { schedule = "cron(5 0 ? * MON#1 *)", minutes = 60 }
    error_message = "the test is not as the variables say"
  }
}

# Users can be moved while the control plane of Route 53 is lost with us-east-1, and records are nobody's to change.
run "users_are_moved_by_an_object" {
  assert {
    condition     = output.pilotlight.components.name.switch == { home = "us-east-1", bucket = "web-switch-123456789012", object = "users-are-away", takes = "40s" }
    error_message = "users would be moved by something else: ${jsonencode(output.pilotlight.components.name)}"
  }

  assert {
    condition     = !contains(module.rights.calls.route53.named, "route53:ChangeResourceRecordSets") && contains(module.rights.calls.route53.named, "s3:PutObject")
    error_message = "rights to records that nobody changes, or none to the switch"
  }
}

# What the records of the example and of the environment have in common: all but the ids that only AWS knows.
run "records_are_those_of_the_example" {
  assert {
    condition = length(distinct([for c in [output.pilotlight.components.name, yamldecode(file("../../../examples/ecs/pilotlight.yaml")).components.name] : jsonencode({
      zone    = c.zone
      name    = c.name
      type    = try(c.type, "A")
      policy  = try(c.policy, "weighted")
      ttl     = try(c.ttl, 60)
      switch  = c.switch
      answers = { for region, a in c.answers : region => [can(a.health_check), try(a.value, null), try(a.alias, null)] }
    })])) == 1
    error_message = "examples/ecs would find other records than those that stand here"
  }
}

run "alarms_wake_the_function_that_may_act" {
  variables {
    function = {
      package      = "function.zip"
      package_hash = "hash"
      store        = { bucket = "journal", prefix = "pilotlight/web", kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/journal" }
    }
    function_environment = { PILOTLIGHT_TOKEN = "not-a-secret" }
  }

  assert {
    condition     = length(module.function) == 1 && module.function[0].store.bucket == "journal"
    error_message = "nothing hears the alarms"
  }

  assert {
    condition     = output.wakes.topics == { health = module.monitoring.topics.global } && !contains(values(output.wakes.topics), module.monitoring.topics.standby)
    error_message = "it hears what its plan does not know, or its own failures"
  }

  assert {
    condition     = output.alarms == module.monitoring.health_alarms && keys(output.alarms) == ["us-east-1", "us-west-2"]
    error_message = "an alarm that nobody writes into the plan"
  }

  assert {
    condition     = output.wakes.schedules == { continue = "rate(1 minute)", watch = "rate(5 minutes)" }
    error_message = "nothing wakes it when the home is lost, and its alarms with it"
  }
}

run "the_function_runs_the_monthly_test_where_that_is_asked_for" {
  variables {
    function = {
      package      = "function.zip"
      package_hash = "hash"
      drill        = true
      store        = { bucket = "journal", prefix = "pilotlight/web", kms_key_arn = "arn:aws:kms:us-east-2:123456789012:key/journal" }
    }
    function_environment = { PILOTLIGHT_TOKEN = "not-a-secret" }
  }

  assert {
    condition     = output.wakes.schedules.drill == "cron(5 0 ? * MON#1 *)"
    error_message = "the month would go by without a test"
  }

  assert {
    condition     = module.rights.keys.sns == tolist([module.keys_standby.arn]) && module.rights.keys.rds == tolist([module.keys_primary.arn, module.keys_standby.arn])
    error_message = "an encrypted replica could not be made, or nobody told"
  }
}

run "a_state_in_a_region_that_may_be_lost_is_refused" {
  command = plan

  variables {
    standby_region = "us-east-2"
    scaling        = { active = 1, standby = 2 }
  }

  expect_failures = [var.standby_region, var.scaling]
}

# All that a component says is what the example says of it, but for ids and ARNs, which only AWS knows, security groups, which are
# yours, and names of Route 53, which are compared elsewhere.
run "components_are_those_of_the_example" {
  assert {
    condition = length(distinct([for all in [output.pilotlight.components, yamldecode(file("../../../examples/ecs/pilotlight.yaml")).components] : jsonencode({
      for name, c in all : name => c.kind == "route53" ? "" : jsonencode({
        for key, value in c : key => (
          contains(["global_datastore", "topic", "listener"], key) ? "" :
          key == "regions" && c.kind == "global-accelerator" ? jsonencode(keys(value)) :
          key == "regions" && c.kind == "rds" ? try(jsonencode({ for region, at in value : region => at.instance }), "") :
          jsonencode(value)
        )
      })
    })])) == 1
    error_message = "examples/ecs says something else: ${jsonencode(output.pilotlight.components)}"
  }
}

run "the_plan_names_the_account_and_the_role_that_has_the_rights" {
  assert {
    condition     = output.pilotlight.aws.account == "123456789012" && output.pilotlight.aws.role == module.rights.role_arn && endswith(yamldecode(file("../../../examples/ecs/pilotlight.yaml")).aws.role, ":role/${var.name}-pilotlight")
    error_message = "Pilotlight would act without the rights that are made for it: ${jsonencode(output.pilotlight.aws)}"
  }
}

run "the_plan_knows_every_alarm_that_the_function_hears" {
  assert {
    condition = jsonencode({ for name, a in output.pilotlight.alarms : name => a.region }) == jsonencode({
      for name, a in yamldecode(file("../../../examples/ecs/pilotlight.yaml")).alarms : name => a.region
    }) && toset([for a in values(output.pilotlight.alarms) : a.alarm]) == toset(values(output.alarms)) && contains(module.rights.calls.alarms.any, "cloudwatch:DescribeAlarms")
    error_message = "an alarm would be told to a function that does not know it: ${jsonencode(output.pilotlight.alarms)}"
  }
}

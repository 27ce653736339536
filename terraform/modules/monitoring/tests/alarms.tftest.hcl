# Without an account: what the module would make.

mock_provider "aws" {
  alias = "standby"
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-west-2:123456789012:shop-incidents" }
  }
}

mock_provider "aws" {
  alias = "global"
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:shop-health" }
  }
}

variables {
  name            = "shop"
  rpo_seconds     = 60
  mail            = ["ops@example.com"]
  health_checks   = { us-east-1 = "check-1", us-west-2 = "check-2" }
  aurora_clusters = ["shop-us-west-2"]
  ecs_services    = [{ cluster = "web", service = "web" }]
  kms_key_arns = {
    standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
    global  = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }
}

run "an_alarm_tells_the_topic_of_its_own_region" {
  providers = {
    aws.standby = aws.standby
    aws.global  = aws.global
  }

  assert {
    condition     = alltrue([for a in aws_cloudwatch_metric_alarm.health : a.alarm_actions == toset([aws_sns_topic.global.arn]) && a.treat_missing_data == "breaching"])
    error_message = "an alarm of us-east-1 cannot tell a topic elsewhere"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.aurora_lag["shop-us-west-2"].threshold == 60000
    error_message = "Aurora's lag is in milliseconds"
  }

  assert {
    condition     = output.component.topic == aws_sns_topic.standby.arn
    error_message = "people are told by a topic of the region that is lost"
  }

  # A plan that has only their names could mean alarms of other regions.
  assert {
    condition     = output.health_alarms == { for region, alarm in aws_cloudwatch_metric_alarm.health : region => alarm.arn } && length(distinct(values(output.health_alarms))) == 2
    error_message = "the plan would not know them again"
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 3
    error_message = "the dashboard leaves something out"
  }
}

run "no_rpo_is_refused" {
  command = plan

  providers = {
    aws.standby = aws.standby
    aws.global  = aws.global
  }

  variables {
    rpo_seconds = 0
    mail        = ["nobody"]
  }

  expect_failures = [var.rpo_seconds, var.mail]
}

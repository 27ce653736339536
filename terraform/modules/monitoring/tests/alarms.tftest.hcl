# Without an account: what the module would make.

mock_provider "aws" {
  alias = "primary"
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:shop-copies" }
  }
}

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
  aurora_clusters = { shop-us-west-2 = "us-east-1" }
  cache_nodes     = { shop-us-west-2 = ["shop-us-west-2-001", "shop-us-west-2-002"] }
  buckets         = { objects = { primary = "shop-east", standby = "shop-west", rule = "everything" } }
  ecs_services    = [{ cluster = "web", service = "web" }]
  kms_key_arns = {
    primary = "arn:aws:kms:us-east-1:123456789012:key/33333333-3333-3333-3333-333333333333"
    standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
    global  = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
  }
}

run "an_alarm_tells_the_topic_of_its_own_region" {
  providers = {
    aws.primary = aws.primary
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

  # What is not published is no figure, so one of both sets of dimensions is enough.
  assert {
    condition = toset([
      for q in aws_cloudwatch_metric_alarm.aurora_lag["shop-us-west-2"].metric_query : length(q.metric) == 0 ? q.expression : jsonencode(q.metric[0].dimensions)
      ]) == toset([
      "MAX([of_cluster, of_source])",
      jsonencode({ DBClusterIdentifier = "shop-us-west-2" }),
      jsonencode({ DBClusterIdentifier = "shop-us-west-2", SourceRegion = "us-east-1" }),
    ])
    error_message = "Aurora's lag is looked for under one set of dimensions only"
  }

  assert {
    condition = toset([
      for q in aws_cloudwatch_metric_alarm.cache_lag["shop-us-west-2"].metric_query : length(q.metric) == 0 ? q.expression : q.metric[0].dimensions.CacheClusterId
    ]) == toset(["MAX([node_0, node_1])", "shop-us-west-2-001", "shop-us-west-2-002"])
    error_message = "a node that may be the primary of its group is left out"
  }

  # A cluster and a cache of one application may be called the same, and a second alarm of a name takes the first one's place.
  assert {
    condition = length(distinct([for a in concat(
      values(aws_cloudwatch_metric_alarm.aurora_lag), values(aws_cloudwatch_metric_alarm.cache_lag),
      values(aws_cloudwatch_metric_alarm.objects_lag_forth), values(aws_cloudwatch_metric_alarm.objects_failed_back),
    ) : a.alarm_name])) == 4
    error_message = "an alarm takes another one's place"
  }

  # Lag where a copy goes to, failures where it comes from, and both are told there.
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.objects_lag_forth["objects"].dimensions == tomap({ SourceBucket = "shop-east", DestinationBucket = "shop-west", RuleId = "everything" }) &&
      aws_cloudwatch_metric_alarm.objects_failed_forth["objects"].dimensions == aws_cloudwatch_metric_alarm.objects_lag_forth["objects"].dimensions &&
      aws_cloudwatch_metric_alarm.objects_lag_back["objects"].dimensions == tomap({ SourceBucket = "shop-west", DestinationBucket = "shop-east", RuleId = "everything" }) &&
      aws_cloudwatch_metric_alarm.objects_failed_back["objects"].dimensions == aws_cloudwatch_metric_alarm.objects_lag_back["objects"].dimensions
    )
    error_message = "a direction between the buckets is not watched"
  }

  assert {
    condition = alltrue([
      for a, topic in {
        objects_lag_forth    = aws_sns_topic.standby.arn
        objects_failed_back  = aws_sns_topic.standby.arn
        objects_lag_back     = aws_sns_topic.primary[0].arn
        objects_failed_forth = aws_sns_topic.primary[0].arn
        } : {
        objects_lag_forth    = aws_cloudwatch_metric_alarm.objects_lag_forth
        objects_failed_back  = aws_cloudwatch_metric_alarm.objects_failed_back
        objects_lag_back     = aws_cloudwatch_metric_alarm.objects_lag_back
        objects_failed_forth = aws_cloudwatch_metric_alarm.objects_failed_forth
      }[a]["objects"].alarm_actions == toset([topic])
    ])
    error_message = "an alarm cannot tell a topic of another region"
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

run "without_buckets_nothing_is_made_in_the_primary_region" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
    aws.global  = aws.global
  }

  variables {
    buckets      = {}
    kms_key_arns = { standby = "arn:aws:kms:us-west-2:123456789012:key/2", global = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }

  assert {
    condition     = length(aws_sns_topic.primary) == 0 && output.topics.primary == null && length(aws_sns_topic_subscription.primary) == 0
    error_message = "a topic that nothing tells"
  }
}

run "a_topic_without_a_key_is_refused" {
  command = plan

  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
    aws.global  = aws.global
  }

  variables {
    kms_key_arns = { standby = "arn:aws:kms:us-west-2:123456789012:key/2", global = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }

  expect_failures = [var.buckets]
}

run "no_rpo_is_refused" {
  command = plan

  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
    aws.global  = aws.global
  }

  variables {
    rpo_seconds = 0
    mail        = ["nobody"]
  }

  expect_failures = [var.rpo_seconds, var.mail]
}

# Alarms that watch the service from the standby region, a topic that tells people there, and a dashboard: what watches a
# region must not live in it. Health checks of Route 53 have their figures in us-east-1 only (`aws.global`), so their
# alarms and a second topic are there; when us-east-1 is the region that is lost, they are lost with it.

resource "aws_sns_topic" "standby" {
  provider          = aws.standby
  name              = "${var.name}-incidents"
  kms_master_key_id = var.kms_key_arns.standby
  tags              = var.tags
}

resource "aws_sns_topic" "global" {
  provider          = aws.global
  name              = "${var.name}-health"
  kms_master_key_id = var.kms_key_arns.global
  tags              = var.tags
}

resource "aws_sns_topic_subscription" "standby" {
  provider  = aws.standby
  for_each  = var.mail
  topic_arn = aws_sns_topic.standby.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_sns_topic_subscription" "global" {
  provider  = aws.global
  for_each  = var.mail
  topic_arn = aws_sns_topic.global.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "health" {
  provider            = aws.global
  for_each            = var.health_checks
  alarm_name          = "${var.name}-health-${each.key}"
  alarm_description   = "Checkers all over the world do not reach ${each.key}"
  namespace           = "AWS/Route53"
  metric_name         = "HealthCheckStatus"
  dimensions          = { HealthCheckId = each.value }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "breaching" # No figures is no health.
  alarm_actions       = [aws_sns_topic.global.arn]
  ok_actions          = [aws_sns_topic.global.arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "aurora_lag" {
  provider            = aws.standby
  for_each            = var.aurora_clusters
  alarm_name          = "${var.name}-lag-${each.value}"
  alarm_description   = "${each.value} is further behind than the RPO: a failover now would lose more than was promised"
  namespace           = "AWS/RDS"
  metric_name         = "AuroraGlobalDBReplicationLag"
  dimensions          = { DBClusterIdentifier = each.value }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.rpo_seconds * 1000
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching" # The writer has no lag, and any member may be the writer.
  alarm_actions       = [aws_sns_topic.standby.arn]
  ok_actions          = [aws_sns_topic.standby.arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "replica_lag" {
  provider            = aws.standby
  for_each            = var.rds_instances
  alarm_name          = "${var.name}-lag-${each.value}"
  alarm_description   = "${each.value} is further behind than the RPO: a failover now would lose more than was promised"
  namespace           = "AWS/RDS"
  metric_name         = "ReplicaLag"
  dimensions          = { DBInstanceIdentifier = each.value }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.rpo_seconds
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.standby.arn]
  ok_actions          = [aws_sns_topic.standby.arn]
  tags                = var.tags
}

locals {
  lag = concat(
    [for id in var.aurora_clusters : ["AWS/RDS", "AuroraGlobalDBReplicationLag", "DBClusterIdentifier", id]],
    [for id in var.rds_instances : ["AWS/RDS", "ReplicaLag", "DBInstanceIdentifier", id]],
  )
  tasks = [
    for s in var.ecs_services : ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", s.cluster, "ServiceName", s.service]
  ]
  health = [for id in values(var.health_checks) : ["AWS/Route53", "HealthCheckStatus", "HealthCheckId", id]]
  widgets = [
    for w in [
      { title = "Healthy from outside (1) or not (0)", metrics = local.health, region = "us-east-1" },
      { title = "Behind the writer", metrics = local.lag, region = data.aws_region.standby.name },
      { title = "Running tasks in the standby", metrics = local.tasks, region = data.aws_region.standby.name },
    ] : w if length(w.metrics) > 0
  ]
}

data "aws_region" "standby" {
  provider = aws.standby
}

resource "aws_cloudwatch_dashboard" "this" {
  provider       = aws.standby
  dashboard_name = "${var.name}-recovery"
  dashboard_body = jsonencode({
    widgets = [
      for i, w in local.widgets : {
        type       = "metric"
        width      = 12
        height     = 6
        x          = 12 * (i % 2)
        y          = 6 * floor(i / 2)
        properties = { title = w.title, metrics = w.metrics, region = w.region, period = 60, stat = "Maximum" }
      }
    ]
  })
}

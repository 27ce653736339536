# Alarms that watch the service from the standby region, a topic that tells people there, and a dashboard: what watches a
# region must not live in it. Health checks of Route 53 have their figures in us-east-1 only (`aws.global`), so their
# alarms and a second topic are there; when us-east-1 is the region that is lost, they are lost with it. Operations that S3
# gave up to copy are counted where they came from and the lag where they go to, so copies of buckets have alarms on both sides, and a topic in the
# primary region tells of those that are there.

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

resource "aws_sns_topic" "primary" {
  provider          = aws.primary
  count             = length(var.buckets) == 0 ? 0 : 1
  name              = "${var.name}-copies"
  kms_master_key_id = var.kms_key_arns.primary
  tags              = var.tags
}

resource "aws_sns_topic_subscription" "primary" {
  provider  = aws.primary
  for_each  = length(var.buckets) == 0 ? toset([]) : var.mail
  topic_arn = aws_sns_topic.primary[0].arn
  protocol  = "email"
  endpoint  = each.value
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

# By its source or for the cluster alone: AWS's pages have both, and an alarm on what is not published stays silent. So the
# larger of what there is counts.
resource "aws_cloudwatch_metric_alarm" "aurora_lag" {
  provider            = aws.standby
  for_each            = var.aurora_clusters
  alarm_name          = "${var.name}-lag-${each.key}"
  alarm_description   = "${each.key} is further behind than the RPO: a failover now would lose more than was promised"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.rpo_seconds * 1000
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching" # The writer has no lag, and any member may be the writer.
  alarm_actions       = [aws_sns_topic.standby.arn]
  ok_actions          = [aws_sns_topic.standby.arn]
  tags                = var.tags

  metric_query {
    id          = "lag"
    expression  = "MAX([of_cluster, of_source])"
    label       = "behind, in milliseconds"
    return_data = true
  }

  metric_query {
    id = "of_cluster"

    metric {
      namespace   = "AWS/RDS"
      metric_name = "AuroraGlobalDBReplicationLag"
      dimensions  = { DBClusterIdentifier = each.key }
      period      = 60
      stat        = "Maximum"
    }
  }

  metric_query {
    id = "of_source"

    metric {
      namespace   = "AWS/RDS"
      metric_name = "AuroraGlobalDBReplicationLag"
      dimensions  = { DBClusterIdentifier = each.key, SourceRegion = each.value }
      period      = 60
      stat        = "Maximum"
    }
  }
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

# One node of a group is its primary, and that one alone has a lag; which, AWS may change.
resource "aws_cloudwatch_metric_alarm" "cache_lag" {
  provider            = aws.standby
  for_each            = var.cache_nodes
  alarm_name          = "${var.name}-cache-lag-${each.key}"
  alarm_description   = "${each.key} is further behind than the RPO: a failover now would lose more than was promised"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.rpo_seconds
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching" # The group that writes has no lag.
  alarm_actions       = [aws_sns_topic.standby.arn]
  ok_actions          = [aws_sns_topic.standby.arn]
  tags                = var.tags

  metric_query {
    id          = "lag"
    expression  = "MAX([${join(", ", [for n, _ in each.value : "node_${n}"])}])"
    label       = "behind, in seconds"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value
    content {
      id = "node_${metric_query.key}"

      metric {
        namespace   = "AWS/ElastiCache"
        metric_name = "GlobalDatastoreReplicationLag"
        dimensions  = { CacheClusterId = metric_query.value }
        period      = 60
        stat        = "Maximum"
      }
    }
  }
}

# Of both directions: a move turns the rules round, and the one that rests publishes nothing.
locals {
  forth = { for name, b in var.buckets : name => { SourceBucket = b.primary, DestinationBucket = b.standby, RuleId = b.rule } }
  back  = { for name, b in var.buckets : name => { SourceBucket = b.standby, DestinationBucket = b.primary, RuleId = b.rule } }
}

resource "aws_cloudwatch_metric_alarm" "objects_lag_forth" {
  provider            = aws.standby
  for_each            = local.forth
  alarm_name          = "${var.name}-objects-lag-${each.value.DestinationBucket}"
  alarm_description   = "${each.value.DestinationBucket} is further behind than the RPO: a failover now would lose more than was promised"
  namespace           = "AWS/S3"
  metric_name         = "ReplicationLatency"
  dimensions          = each.value
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

resource "aws_cloudwatch_metric_alarm" "objects_lag_back" {
  provider            = aws.primary
  for_each            = local.back
  alarm_name          = "${var.name}-objects-lag-${each.value.DestinationBucket}"
  alarm_description   = "${each.value.DestinationBucket} is further behind than the RPO: a failover now would lose more than was promised"
  namespace           = "AWS/S3"
  metric_name         = "ReplicationLatency"
  dimensions          = each.value
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.rpo_seconds
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.primary[0].arn]
  ok_actions          = [aws_sns_topic.primary[0].arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "objects_failed_forth" {
  provider            = aws.primary
  for_each            = local.forth
  alarm_name          = "${var.name}-objects-not-copied-${each.value.SourceBucket}"
  alarm_description   = "S3 gave up to copy something of ${each.value.SourceBucket}: it is in that bucket alone, and nothing copies it by itself"
  namespace           = "AWS/S3"
  metric_name         = "OperationsFailedReplication"
  dimensions          = each.value
  statistic           = "Sum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.primary[0].arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "objects_failed_back" {
  provider            = aws.standby
  for_each            = local.back
  alarm_name          = "${var.name}-objects-not-copied-${each.value.SourceBucket}"
  alarm_description   = "S3 gave up to copy something of ${each.value.SourceBucket}: it is in that bucket alone, and nothing copies it by itself"
  namespace           = "AWS/S3"
  metric_name         = "OperationsFailedReplication"
  dimensions          = each.value
  statistic           = "Sum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.standby.arn]
  tags                = var.tags
}

locals {
  lag = concat(
    [for id, _ in var.aurora_clusters : ["AWS/RDS", "AuroraGlobalDBReplicationLag", "DBClusterIdentifier", id]],
    [
      for id, source in var.aurora_clusters :
      ["AWS/RDS", "AuroraGlobalDBReplicationLag", "DBClusterIdentifier", id, "SourceRegion", source]
    ],
    [for id in var.rds_instances : ["AWS/RDS", "ReplicaLag", "DBInstanceIdentifier", id]],
    [for id in flatten(values(var.cache_nodes)) : ["AWS/ElastiCache", "GlobalDatastoreReplicationLag", "CacheClusterId", id]],
    [
      for of in values(local.forth) :
      ["AWS/S3", "ReplicationLatency", "SourceBucket", of.SourceBucket, "DestinationBucket", of.DestinationBucket, "RuleId", of.RuleId]
    ],
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

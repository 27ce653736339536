output "component" {
  description = "The topic of the standby region as a component of a plan of Pilotlight."
  value       = { kind = "sns", topic = aws_sns_topic.standby.arn }
}

output "topics" {
  description = "ARNs of the topics: alarms of lag in the standby region, of health in us-east-1, and, where there are buckets, of their copies in the primary region."
  value = {
    primary = one(aws_sns_topic.primary[*].arn)
    standby = aws_sns_topic.standby.arn
    global  = aws_sns_topic.global.arn
  }
}

output "health_alarms" {
  description = "ARNs of the alarms of health, by the name of their check; they tell the topic `global`, and nothing else does."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.health : name => alarm.arn }
}

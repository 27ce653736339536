output "function_arn" {
  description = "The function."
  value       = aws_lambda_function.this.arn
}

output "role_arn" {
  description = "Its role, for `trusted_arns` of modules/iam."
  value       = aws_iam_role.this.arn
}

output "store" {
  description = "For `controller.store.s3` of the plan."
  value       = { bucket = var.store.bucket, prefix = var.store.prefix, region = data.aws_region.this.name }
}

output "wakes" {
  description = "What wakes it: topics and schedules by name."
  value = {
    topics    = { for name, subscription in aws_sns_topic_subscription.alarms : name => subscription.topic_arn }
    schedules = { for name, rule in aws_cloudwatch_event_rule.this : name => rule.schedule_expression }
  }
}

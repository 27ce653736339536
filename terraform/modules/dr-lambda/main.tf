# Pilotlight as a function: what alarms and a schedule wake, and what it needs. It belongs into the standby region or a third
# one, with its bucket and the topics of its alarms: what is lost with a region cannot bring it back.

data "aws_caller_identity" "this" {}

data "aws_region" "this" {}

# Where the alarms are, and with them their topics: a subscription is made in the topic's region and nowhere else.
data "aws_region" "alarms" {
  provider = aws.alarms
}

locals {
  function   = "${var.name}-recovery"
  bucket_arn = var.store.create ? aws_s3_bucket.store[0].arn : "arn:aws:s3:::${var.store.bucket}"
  bucket_key = var.store.create ? var.kms_key_arn : var.store.kms_key_arn
  keys       = distinct(compact([var.kms_key_arn, local.bucket_key]))

  # What wakes it by time: what is open goes on each minute; where nothing is open, the function ends at once.
  schedules = merge(
    { continue = "rate(1 minute)" },
    { for name, s in var.schedules : name => s.schedule },
    var.drill == null ? {} : { drill = var.drill.schedule },
  )
  events = merge(
    { continue = jsonencode({ action = "continue" }) },
    { for name, s in var.schedules : name => jsonencode(s.event) },
  )
  drill = var.drill == null ? "" : jsonencode(merge(
    { action = "drill", to = var.drill.to, "for" = var.drill.lasts, by = "the schedule ${local.function}-drill" },
    var.drill.unit == null ? {} : { unit = var.drill.unit },
  ))
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${local.function}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

# What could not be done after three attempts. It is looked at by people: the alarm below tells them.
resource "aws_sqs_queue" "failed" {
  name                      = "${local.function}-failed"
  kms_master_key_id         = var.kms_key_arn
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_117:It calls only the APIs of AWS; in a VPC it would depend on that network's ways out
  #checkov:skip=CKV_AWS_272:Signing needs a profile of the account; the package is given by its hash
  function_name    = local.function
  description      = "Pilotlight: goes on with the recovery of ${var.name}"
  role             = aws_iam_role.this.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = var.package
  source_code_hash = var.package_hash
  memory_size      = var.memory_mib
  timeout          = var.timeout_seconds
  kms_key_arn      = var.kms_key_arn

  # One leads and works, one takes an alarm in meanwhile. More could do nothing.
  reserved_concurrent_executions = 2

  environment {
    variables = merge(var.environment, { RUST_BACKTRACE = "0" })
  }

  dead_letter_config {
    target_arn = aws_sqs_queue.failed.arn
  }

  tracing_config {
    mode = "Active"
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  tags = var.tags

  depends_on = [aws_iam_role_policy.own]
}

# A message of the schedule is worth nothing when the next is there.
resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_event_age_in_seconds = 3600
  maximum_retry_attempts       = 2
}

resource "aws_sns_topic_subscription" "alarms" {
  provider  = aws.alarms
  for_each  = var.alarm_topics
  topic_arn = each.value
  protocol  = "lambda"
  endpoint  = aws_lambda_function.this.arn

  lifecycle {
    precondition {
      condition     = split(":", each.value)[3] == data.aws_region.alarms.name
      error_message = "SNS takes a subscription in the topic's own region alone: give `aws.alarms` the region of ${each.value}."
    }
  }
}

resource "aws_lambda_permission" "alarms" {
  for_each      = var.alarm_topics
  statement_id  = "alarms-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "sns.amazonaws.com"
  source_arn    = each.value
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each            = local.schedules
  name                = "${local.function}-${each.key}"
  description         = "Wakes Pilotlight: ${each.key}"
  schedule_expression = each.value
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = aws_cloudwatch_event_rule.this
  rule     = each.value.name
  arn      = aws_lambda_function.this.arn
  input    = lookup(local.events, each.key, null)

  # With the schedule's own time a drill that comes twice begins once, and one that comes late does not begin.
  dynamic "input_transformer" {
    for_each = each.key == "drill" ? [local.drill] : []
    content {
      input_paths    = { at = "$.time" }
      input_template = "{\"at\":<at>,${substr(input_transformer.value, 1, -1)}"
    }
  }
}

resource "aws_lambda_permission" "schedule" {
  for_each      = aws_cloudwatch_event_rule.this
  statement_id  = "schedule-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "events.amazonaws.com"
  source_arn    = each.value.arn
}

resource "aws_cloudwatch_metric_alarm" "failed" {
  alarm_name          = "${local.function}-failed"
  alarm_description   = "Pilotlight could not do what it was woken for: its dead-letter queue has the event, its log the reason"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.failed.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.people_topics
  tags                = var.tags

  lifecycle {
    precondition {
      condition     = alltrue([for topic in var.people_topics : split(":", topic)[3] == data.aws_region.this.name])
      error_message = "An alarm tells topics of its own region alone, and this one is where the function is."
    }
  }
}

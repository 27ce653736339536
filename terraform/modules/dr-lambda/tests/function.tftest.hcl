# Without an account: what the module would make, and what it refuses.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/shop-recovery" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:us-west-2:123456789012:function:shop-recovery" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-west-2:123456789012:shop-recovery-failed" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/shop-recovery" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:us-west-2:123456789012:rule/r" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::shop-journal" }
  }
}

mock_provider "aws" {
  alias = "alarms"
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
}

variables {
  name         = "shop"
  package      = "function.zip"
  package_hash = "hash"
  environment  = { PILOTLIGHT_TOKEN = "not-a-secret" }
  kms_key_arn  = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
  store        = { bucket = "shop-journal", prefix = "pilotlight/shop", create = true }
  alarm_topics = { health = "arn:aws:sns:us-east-1:123456789012:shop-health" }
  schedules    = { watch = { schedule = "rate(5 minutes)", event = { action = "watch" } } }
}

run "what_is_open_goes_on_each_minute" {
  assert {
    condition     = aws_cloudwatch_event_rule.this["continue"].schedule_expression == "rate(1 minute)" && jsondecode(aws_cloudwatch_event_target.this["continue"].input) == { action = "continue" }
    error_message = "a run that is longer than an invocation would rest"
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_target.this["watch"].input) == { action = "watch" } && keys(aws_lambda_permission.schedule) == ["continue", "watch"]
    error_message = "a schedule that nobody hears"
  }
}

run "an_alarm_is_heard_and_only_from_its_topic" {
  assert {
    condition     = aws_lambda_permission.alarms["health"].source_arn == "arn:aws:sns:us-east-1:123456789012:shop-health" && aws_sns_topic_subscription.alarms["health"].protocol == "lambda"
    error_message = "any topic could start a failover"
  }

  assert {
    condition     = keys(output.wakes.topics) == ["health"] && output.wakes.schedules == { continue = "rate(1 minute)", watch = "rate(5 minutes)" }
    error_message = "it does not say what wakes it"
  }
}

run "a_topic_is_subscribed_where_it_is_and_nowhere_else" {
  command = plan

  variables {
    alarm_topics = { health = "arn:aws:sns:us-west-2:123456789012:shop-health" }
  }

  expect_failures = [aws_sns_topic_subscription.alarms]
}

run "its_own_alarm_tells_topics_of_its_region_alone" {
  command = plan

  variables {
    people_topics = ["arn:aws:sns:us-east-1:123456789012:ops"]
  }

  expect_failures = [aws_cloudwatch_metric_alarm.failed]
}

run "one_works_and_one_takes_in" {
  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 2 && aws_lambda_function.this.kms_key_arn == var.kms_key_arn && aws_lambda_function.this.dead_letter_config[0].target_arn == aws_sqs_queue.failed.arn
    error_message = "an alarm would wait for the end of a run, or be lost"
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 365 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "the log is kept for ever, or in the clear"
  }
}

run "the_bucket_is_closed_encrypted_and_versioned" {
  assert {
    condition     = aws_s3_bucket_public_access_block.store[0].restrict_public_buckets && aws_s3_bucket_versioning.store[0].versioning_configuration[0].status == "Enabled"
    error_message = "the journal lies open"
  }
}

run "a_bucket_that_is_there_is_left_alone" {
  variables {
    store = { bucket = "ours", prefix = "pilotlight/shop" }
  }

  assert {
    condition     = length(aws_s3_bucket.store) == 0 && output.store == { bucket = "ours", prefix = "pilotlight/shop", region = "us-west-2" }
    error_message = "a second bucket"
  }
}

run "a_key_that_is_not_there_is_missing_and_not_denied" {
  assert {
    condition     = [for s in data.aws_iam_policy_document.own.statement : length(s.condition) if s.actions == toset(["s3:ListBucket"])] == [0]
    error_message = "S3 answers 403 for what is not there yet"
  }
}

run "no_drill_unless_it_is_asked_for" {
  assert {
    condition     = keys(output.wakes.schedules) == ["continue", "watch"] && alltrue([for t in aws_cloudwatch_event_target.this : length(t.input_transformer) == 0])
    error_message = "a writer is moved while nobody watches, and nobody asked for it"
  }
}

run "a_drill_begins_by_its_schedule_and_says_when_it_was_meant" {
  variables {
    drill = { schedule = "cron(5 0 ? * MON#1 *)", to = "us-west-2", lasts = "60m" }
  }

  assert {
    condition     = output.wakes.schedules.drill == "cron(5 0 ? * MON#1 *)" && aws_lambda_permission.schedule["drill"].action == "lambda:InvokeFunction"
    error_message = "nothing begins it"
  }

  assert {
    condition     = aws_cloudwatch_event_target.this["drill"].input == null && aws_cloudwatch_event_target.this["drill"].input_transformer[0].input_paths == tomap({ at = "$.time" })
    error_message = "one that comes late would begin in the middle of the day"
  }

  # EventBridge puts a text in quotes.
  assert {
    condition = jsondecode(replace(aws_cloudwatch_event_target.this["drill"].input_transformer[0].input_template, "<at>", "\"2026-12-07T00:05:00Z\"")) == {
      at     = "2026-12-07T00:05:00Z"
      action = "drill"
      to     = "us-west-2"
      for    = "60m"
      by     = "the schedule shop-recovery-drill"
    }
    error_message = "the function would not understand it"
  }
}

# One fault in each variable of a run: of two in the same, the one would be refused in place of the other.

run "what_cannot_work_is_refused" {
  command = plan

  variables {
    store            = { bucket = "ours", prefix = "/pilotlight" }
    timeout_seconds  = 30
    schedules        = { watch = { schedule = "each day", event = { action = "watch" } } }
    drill            = { schedule = "monthly", to = "us-west-2" }
    assume_role_arns = ["arn:aws:iam::123456789012:role/web-pilotlight", "*"]
    people_topics    = ["arn:aws:sns:us-west-2:123456789012:ops", "arn:aws:sns:us-east-1:123456789012:shop-health"]
  }

  # The topic of alarms is in another region than the function, too.
  expect_failures = [var.store, var.timeout_seconds, var.schedules, var.drill, var.assume_role_arns, var.alarm_topics, aws_cloudwatch_metric_alarm.failed]
}

run "nor_is_what_would_not_be_understood" {
  command = plan

  variables {
    store        = { bucket = "ours", prefix = "pilotlight/" }
    memory_mib   = 128
    architecture = "riscv"
    schedules    = { watch = { schedule = "rate(5 minutes)", event = { to = "west" } } }
    drill        = { schedule = "rate(30 days)", to = "us-west-2", lasts = "an hour" }
  }

  expect_failures = [var.store, var.memory_mib, var.architecture, var.schedules, var.drill]
}

run "nor_is_what_is_made_anyway" {
  command = plan

  variables {
    name      = "Shop"
    schedules = { continue = { schedule = "rate(5 minutes)", event = { action = "watch" } } }
    store     = { bucket = "ours", prefix = "" }
  }

  expect_failures = [var.name, var.schedules, var.store]
}

run "nor_is_a_drill_as_a_plain_schedule" {
  command = plan

  variables {
    schedules       = { drill = { schedule = "rate(30 days)", event = { action = "drill", to = "us-west-2" } } }
    timeout_seconds = 901
    memory_mib      = 10241
  }

  expect_failures = [var.schedules, var.timeout_seconds, var.memory_mib]
}

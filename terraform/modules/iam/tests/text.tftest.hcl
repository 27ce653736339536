# The text of the policies: the provider itself makes it, without an account and without a call.

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

variables {
  name         = "shop"
  trusted_arns = ["arn:aws:iam::123456789012:role/controller"]
  resources = {
    ecs    = ["arn:aws:ecs:us-west-2:123456789012:service/web/web"]
    aurora = ["arn:aws:rds::123456789012:global-cluster:shop", "arn:aws:rds:us-west-2:123456789012:cluster:shop"]
  }
}

run "a_key_is_to_be_had_through_its_service_only" {
  command = plan

  variables {
    resources = {
      rds = ["arn:aws:rds:us-east-1:123456789012:db:shop*", "arn:aws:rds:us-west-2:123456789012:db:shop*"]
      sns = ["arn:aws:sns:us-west-2:123456789012:shop-incidents"]
    }
    keys = {
      rds = ["arn:aws:kms:us-east-1:123456789012:key/1", "arn:aws:kms:us-west-2:123456789012:key/2"]
      sns = ["arn:aws:kms:us-west-2:123456789012:key/2"]
    }
  }

  assert {
    condition = [for s in jsondecode(aws_iam_policy.driver["sns"].policy).Statement : s if s.Sid == "Keys"] == [{
      Sid       = "Keys"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = "arn:aws:kms:us-west-2:123456789012:key/2"
      Condition = { StringEquals = { "kms:ViaService" = "sns.us-west-2.amazonaws.com" } }
    }]
    error_message = "people could not be told through an encrypted topic: ${aws_iam_policy.driver["sns"].policy}"
  }

  assert {
    condition = [for s in jsondecode(aws_iam_policy.driver["rds"].policy).Statement : s if s.Sid == "Keys"] == [{
      Sid       = "Keys"
      Effect    = "Allow"
      Action    = ["kms:DescribeKey", "kms:CreateGrant"]
      Resource  = ["arn:aws:kms:us-west-2:123456789012:key/2", "arn:aws:kms:us-east-1:123456789012:key/1"]
      Condition = { StringEquals = { "kms:ViaService" = ["rds.us-east-1.amazonaws.com", "rds.us-west-2.amazonaws.com"] } }
    }]
    error_message = "an encrypted replica could not be made again: ${aws_iam_policy.driver["rds"].policy}"
  }

  assert {
    condition     = alltrue([for s in jsondecode(aws_iam_policy.driver["sns"].policy).Statement : s.Sid == "Keys" || !strcontains(jsonencode(s), "kms:")])
    error_message = "a right to keys without the limit"
  }
}

# AWS shows alarms on other alarms only to who may look at all of them.
run "alarms_on_alarms_are_seen" {
  command = plan

  variables {
    resources = { alarms = ["arn:aws:cloudwatch:us-west-2:123456789012:alarm:shop"] }
  }

  assert {
    condition = jsondecode(aws_iam_policy.driver["alarms"].policy).Statement == [
      { Sid = "Look", Effect = "Allow", Action = "cloudwatch:DescribeAlarms", Resource = "*" }
    ]
    error_message = "a composite alarm would be missing: ${aws_iam_policy.driver["alarms"].policy}"
  }
}

run "no_key_no_right_to_keys" {
  command = plan

  assert {
    condition     = alltrue([for p in aws_iam_policy.driver : !strcontains(p.policy, "kms:")])
    error_message = "a right to keys that nobody named"
  }
}

run "a_switch_gives_its_object_and_nothing_else_of_s3" {
  command = plan

  variables {
    records_stay = true
    resources = {
      route53 = ["arn:aws:route53:::hostedzone/Z1", "arn:aws:s3:::pay-switch", "arn:aws:s3:::pay-switch/users-are-away"]
    }
  }

  assert {
    condition = [for s in jsondecode(aws_iam_policy.driver["route53"].policy).Statement : s if s.Sid != "Look"] == [
      {
        Sid      = "NamedRoute53"
        Effect   = "Allow"
        Action   = "route53:ListResourceRecordSets"
        Resource = "arn:aws:route53:::hostedzone/Z1"
      },
      {
        Sid      = "NamedS3"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:ListBucket", "s3:DeleteObject"]
        Resource = ["arn:aws:s3:::pay-switch/users-are-away", "arn:aws:s3:::pay-switch"]
      },
    ]
    error_message = "other rights than a switch needs: ${aws_iam_policy.driver["route53"].policy}"
  }
}

run "without_a_switch_nothing_of_s3_is_given" {
  command = plan

  variables {
    resources = { route53 = ["arn:aws:route53:::hostedzone/Z1"] }
  }

  assert {
    condition = [for s in jsondecode(aws_iam_policy.driver["route53"].policy).Statement : s if s.Sid != "Look"] == [{
      Sid      = "Named"
      Effect   = "Allow"
      Action   = ["route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets"]
      Resource = "arn:aws:route53:::hostedzone/Z1"
    }]
    error_message = "other rights than records need: ${aws_iam_policy.driver["route53"].policy}"
  }
}

run "records_that_stay_without_a_switch_are_refused" {
  command = plan

  variables {
    records_stay = true
    resources    = { route53 = ["arn:aws:route53:::hostedzone/Z1"] }
  }

  expect_failures = [var.records_stay]
}

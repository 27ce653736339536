# Without an account: what everybody may do with the bucket. The provider itself makes the text of the policy.

provider "aws" {
  region                      = "us-west-2"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

variables {
  name   = "pay"
  suffix = "123456789012"
}

run "everybody_may_read_the_switch_and_its_sample_and_nothing_else" {
  command = plan

  assert {
    condition = [for s in jsondecode(data.aws_iam_policy_document.this.json).Statement : s if s.Effect == "Allow"] == [{
      Sid       = "HealthCheckers"
      Effect    = "Allow"
      Action    = "s3:GetObject"
      Resource  = ["arn:aws:s3:::pay-switch-123456789012/users-are-away.sample", "arn:aws:s3:::pay-switch-123456789012/users-are-away"]
      Principal = "*"
    }]
    error_message = "another policy than the health checkers need: ${data.aws_iam_policy_document.this.json}"
  }

  assert {
    condition     = [for s in jsondecode(data.aws_iam_policy_document.this.json).Statement : s.Condition if s.Effect == "Deny"] == [{ Bool = { "aws:SecureTransport" = "false" } }]
    error_message = "the switch could be put without TLS"
  }

  assert {
    condition = (
      !aws_s3_bucket_public_access_block.this.block_public_policy &&
      !aws_s3_bucket_public_access_block.this.restrict_public_buckets &&
      aws_s3_bucket_public_access_block.this.block_public_acls &&
      aws_s3_bucket_public_access_block.this.ignore_public_acls
    )
    error_message = "the health checkers would be kept out, or ACLs would let somebody in"
  }
}

# What a key of KMS encrypts nobody reads without credentials.
run "what_is_read_without_credentials_is_not_encrypted_by_kms" {
  command = plan

  assert {
    condition = (
      one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256" &&
      aws_s3_object.sample.server_side_encryption == "AES256" && aws_s3_object.sample.key == "users-are-away.sample"
    )
    error_message = "the health checkers could not read the switch"
  }
}

run "the_health_check_asks_in_the_regions_own_name" {
  command = plan

  assert {
    condition = output.place == {
      bucket = "pay-switch-123456789012"
      object = "users-are-away"
      host   = "pay-switch-123456789012.s3.us-west-2.amazonaws.com"
    }
    error_message = "another address than Pilotlight expects"
  }

  assert {
    condition     = output.arns == ["arn:aws:s3:::pay-switch-123456789012", "arn:aws:s3:::pay-switch-123456789012/users-are-away"]
    error_message = "Pilotlight would get rights to something else"
  }
}

run "names_that_s3_has_no_certificate_for_are_refused" {
  command = plan

  variables {
    name   = "pay.example"
    object = "away/now"
  }

  expect_failures = [var.name, var.object]
}

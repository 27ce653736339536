# The bucket whose one object moves users: while it can be read, the inverted health check of home's record is bad. It is in the
# region that is not home, so a move needs S3 there and no control plane of Route 53. The object is Pilotlight's: not in here.
# Everybody may read it, by its name alone: the health checkers of Route 53 show no credentials, and a list of their addresses
# that has grown old would keep users from being moved. It says nothing but that they are.

data "aws_region" "this" {}

data "aws_partition" "this" {}

locals {
  bucket = "${var.name}-switch-${var.suffix}"
  arn    = "arn:${data.aws_partition.this.partition}:s3:::${local.bucket}"
  sample = "${var.object}.sample"
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Where access is logged to is a matter of the account, not of this application
  #checkov:skip=CKV_AWS_144:It belongs to the one region that users are led to; in another it would be no switch
  #checkov:skip=CKV_AWS_145:Nobody reads without credentials what a key of KMS encrypts, and the health checkers have none
  #checkov:skip=CKV2_AWS_62:Nothing listens to events of the switch
  #checkov:skip=CKV2_AWS_6:Its policy is public by intention; ACLs are not
  bucket = local.bucket
  tags   = var.tags
}

# Who moved users, and when, can be seen later.
resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket_versioning.this.bucket

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  #checkov:skip=CKV_AWS_54:The policy lets everybody read the switch: the health checkers show no credentials
  #checkov:skip=CKV_AWS_56:The policy lets everybody read the switch: the health checkers show no credentials
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = false
  ignore_public_acls      = true
  restrict_public_buckets = false
}

data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_283:The health checkers of Route 53 show no credentials: everybody may read these two objects, and nothing else
  statement {
    sid       = "HealthCheckers"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn}/${var.object}", "${local.arn}/${local.sample}"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.arn, "${local.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  #checkov:skip=CKV_AWS_70:The health checkers of Route 53 show no credentials: everybody may read these two objects, and nothing else
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.this.json

  # AWS refuses a public policy until it is told that one is meant.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# As public as the switch, and always there: by it `check --live` sees before a move that the switch could be read.
resource "aws_s3_object" "sample" {
  #checkov:skip=CKV_AWS_186:Nobody reads without credentials what a key of KMS encrypts, and the health checkers have none
  bucket                 = aws_s3_bucket_versioning.this.bucket
  key                    = local.sample
  content                = "everybody can read this, and ${var.object} where it is\n"
  content_type           = "text/plain"
  server_side_encryption = "AES256"
  tags                   = var.tags
}

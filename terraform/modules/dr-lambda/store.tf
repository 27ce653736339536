# The bucket of the journal, where the caller has none: versioned, encrypted, closed, and kept when the stack goes.

resource "aws_s3_bucket" "store" {
  #checkov:skip=CKV_AWS_18:Where access is logged to is a matter of the account, not of this application
  #checkov:skip=CKV_AWS_144:It is outside of the regions that may be lost, and a copy would be no lock
  #checkov:skip=CKV2_AWS_62:Nothing listens to events of the journal
  count  = var.store.create ? 1 : 0
  bucket = var.store.bucket
  tags   = var.tags
}

resource "aws_s3_bucket_versioning" "store" {
  count  = var.store.create ? 1 : 0
  bucket = aws_s3_bucket.store[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "store" {
  count  = var.store.create ? 1 : 0
  bucket = aws_s3_bucket.store[0].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "store" {
  count                   = var.store.create ? 1 : 0
  bucket                  = aws_s3_bucket.store[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# The lead is written several times a second while the function works: old versions of it must not pile up.
resource "aws_s3_bucket_lifecycle_configuration" "store" {
  count  = var.store.create ? 1 : 0
  bucket = aws_s3_bucket.store[0].id

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.store]
}

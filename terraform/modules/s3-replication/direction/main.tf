# Everything in one bucket to the other. One rule without a filter: prefixes that nobody thought of are copied, too.

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "replicate" {
  statement {
    sid       = "ReadSource"
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [var.source_bucket.arn]
  }

  statement {
    sid = "ReadVersions"
    actions = [
      "s3:GetObjectVersionForReplication",
      "s3:GetObjectVersionAcl",
      "s3:GetObjectVersionTagging",
    ]
    resources = ["${var.source_bucket.arn}/*"]
  }

  statement {
    sid       = "WriteTarget"
    actions   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
    resources = ["${var.target_bucket.arn}/*"]
  }

  statement {
    sid       = "Decrypt"
    actions   = ["kms:Decrypt"]
    resources = [var.source_bucket.kms_key_arn]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:Encrypt", "kms:GenerateDataKey"]
    resources = [var.target_bucket.kms_key_arn]
  }
}

resource "aws_iam_role" "this" {
  name               = "${var.name}-replication"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "replicate"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.replicate.json
}

resource "aws_s3_bucket_replication_configuration" "this" {
  bucket = var.source_bucket.id
  role   = aws_iam_role.this.arn

  rule {
    id       = "everything"
    priority = 0
    status   = var.enabled ? "Enabled" : "Disabled"

    filter {}

    delete_marker_replication {
      status = "Enabled"
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }

      # What was copied here and changed here goes back: without it, tags and locks of copies would part.
      replica_modifications {
        status = "Enabled"
      }
    }

    destination {
      bucket        = var.target_bucket.arn
      storage_class = "STANDARD"

      encryption_configuration {
        replica_kms_key_id = var.target_bucket.kms_key_arn
      }

      replication_time {
        status = "Enabled"
        time {
          minutes = 15
        }
      }

      metrics {
        status = "Enabled"
        event_threshold {
          minutes = 15
        }
      }
    }
  }

  lifecycle {
    # Which of the two rules copies follows the service: a move enables one and disables the other.
    ignore_changes = [rule[0].status]

    precondition {
      condition     = length(var.bucket_versions) == 2
      error_message = "Both buckets must keep versions before one replicates to the other."
    }
  }
}

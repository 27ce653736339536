# Two versioned, encrypted buckets with a rule in each that copies everything to the other: all prefixes, delete markers,
# encrypted objects, within 15 minutes and with metrics of its lag. The primary's is enabled, the standby's waits: a move by
# Pilotlight turns them round.
# A bucket that holds objects is not deleted by Terraform (`force_destroy` is not set). Objects that were there before the
# rules are not copied by them: in buckets that are made here there are none (`existing_copied`); for others run a batch
# replication once.

data "aws_region" "primary" {
  provider = aws.primary
}

data "aws_region" "standby" {
  provider = aws.standby
}

locals {
  primary = "${var.name}-${data.aws_region.primary.name}-${var.suffix}"
  standby = "${var.name}-${data.aws_region.standby.name}-${var.suffix}"
}

resource "aws_s3_bucket" "primary" {
  #checkov:skip=CKV_AWS_18:Where access is logged to is a matter of the account, not of this application
  #checkov:skip=CKV2_AWS_62:Nothing listens to events; replication has metrics of its own
  #checkov:skip=CKV_AWS_144:It is replicated, by a rule in each; the check does not look into the inner module
  provider = aws.primary
  bucket   = local.primary
  tags     = var.tags
}

resource "aws_s3_bucket" "standby" {
  #checkov:skip=CKV_AWS_18:Where access is logged to is a matter of the account, not of this application
  #checkov:skip=CKV2_AWS_62:Nothing listens to events; replication has metrics of its own
  #checkov:skip=CKV_AWS_144:It is replicated, by a rule in each; the check does not look into the inner module
  provider = aws.standby
  bucket   = local.standby
  tags     = var.tags
}

module "primary" {
  source    = "./bucket"
  providers = { aws = aws.primary }

  bucket          = aws_s3_bucket.primary.id
  kms_key_arn     = var.kms_key_arn_primary
  noncurrent_days = var.noncurrent_days
}

module "standby" {
  source    = "./bucket"
  providers = { aws = aws.standby }

  bucket          = aws_s3_bucket.standby.id
  kms_key_arn     = var.kms_key_arn_standby
  noncurrent_days = var.noncurrent_days
}

module "forth" {
  source    = "./direction"
  providers = { aws = aws.primary }

  name            = "${var.name}-forth"
  enabled         = true
  source_bucket   = { id = aws_s3_bucket.primary.id, arn = aws_s3_bucket.primary.arn, kms_key_arn = var.kms_key_arn_primary }
  target_bucket   = { arn = aws_s3_bucket.standby.arn, kms_key_arn = var.kms_key_arn_standby }
  tags            = var.tags
  bucket_versions = [module.primary.versioning, module.standby.versioning]
}

module "back" {
  source    = "./direction"
  providers = { aws = aws.standby }

  name            = "${var.name}-back"
  enabled         = false
  source_bucket   = { id = aws_s3_bucket.standby.id, arn = aws_s3_bucket.standby.arn, kms_key_arn = var.kms_key_arn_standby }
  target_bucket   = { arn = aws_s3_bucket.primary.arn, kms_key_arn = var.kms_key_arn_primary }
  tags            = var.tags
  bucket_versions = [module.primary.versioning, module.standby.versioning]
}

output "primary_bucket" {
  description = "Name of the bucket in the primary region."
  value       = aws_s3_bucket.primary.id
}

output "standby_bucket" {
  description = "Name of the bucket in the standby region."
  value       = aws_s3_bucket.standby.id
}

output "arns" {
  description = "The buckets and the roles of their rules, for the policy of Pilotlight."
  value = [
    aws_s3_bucket.primary.arn,
    aws_s3_bucket.standby.arn,
    module.forth.role_arn,
    module.back.role_arn,
  ]
}

output "component" {
  description = "These buckets as a component of a plan of Pilotlight."
  value = {
    kind            = "s3"
    existing_copied = var.existing_copied
    regions = {
      (data.aws_region.primary.name) = { bucket = aws_s3_bucket.primary.bucket }
      (data.aws_region.standby.name) = { bucket = aws_s3_bucket.standby.bucket }
    }
  }
}

output "watched" {
  description = "Both buckets and the id of their rules, for `buckets` of the module monitoring."
  value       = { primary = aws_s3_bucket.primary.bucket, standby = aws_s3_bucket.standby.bucket, rule = module.forth.rule.id }
}

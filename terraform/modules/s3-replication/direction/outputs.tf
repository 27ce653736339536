output "role_arn" {
  description = "The role that S3 copies with; whoever changes the rule must be allowed to pass it on."
  value       = aws_iam_role.this.arn
}

output "rule" {
  description = "The one rule, for tests and checks."
  value       = aws_s3_bucket_replication_configuration.this.rule[0]
}

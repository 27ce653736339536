output "rule" {
  description = "The one rule, for tests and checks."
  value       = aws_s3_bucket_replication_configuration.this.rule[0]
}

output "versioning" {
  description = "Known once the bucket keeps versions; replication must wait for it."
  value       = aws_s3_bucket_versioning.this.id
}

output "place" {
  description = "For `switch` of the module route53-failover."
  value = {
    bucket = local.bucket
    object = var.object
    host   = "${local.bucket}.s3.${data.aws_region.this.name}.${data.aws_partition.this.dns_suffix}"
  }
  # Without them the health check would ask for what nobody can read.
  depends_on = [aws_s3_bucket_policy.this, aws_s3_object.sample]
}

output "arns" {
  description = "What Pilotlight lists, puts and deletes, for `resources.route53` of the module iam."
  value       = [local.arn, "${local.arn}/${var.object}"]
}

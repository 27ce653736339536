output "role_arn" {
  description = "The role, for `aws.regions.REGION.role` of a plan."
  value       = aws_iam_role.this.arn
}

output "calls" {
  description = "What each driver may call, for a look and for tests."
  value       = local.calls
}

output "keys" {
  description = "Through which driver which keys may be used, for a look and for tests."
  value       = var.keys
}

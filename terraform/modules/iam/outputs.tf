output "role_arn" {
  description = "The role, for `aws.role` of a plan."
  value       = aws_iam_role.this.arn
}

output "access" {
  description = "The account and the role as `aws` of a plan of Pilotlight."
  value       = { account = split(":", aws_iam_role.this.arn)[4], role = aws_iam_role.this.arn }
}

output "calls" {
  description = "What each driver may call, for a look and for tests."
  value       = local.calls
}

output "keys" {
  description = "Through which driver which keys may be used, for a look and for tests."
  value       = var.keys
}

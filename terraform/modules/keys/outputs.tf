output "arn" {
  description = "ARN of the key."
  value       = aws_kms_key.this.arn
}

output "alias" {
  description = "Alias of the key, the same in each region: for `needs.keys` of a plan of Pilotlight."
  value       = aws_kms_alias.this.name
}

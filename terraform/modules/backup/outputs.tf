output "vaults" {
  description = "ARNs of both vaults."
  value       = { primary = aws_backup_vault.primary.arn, standby = aws_backup_vault.standby.arn }
}

output "urls" {
  description = "URL of each repository in the standby region: its services must pull from there."
  value       = { for name, repository in aws_ecr_repository.standby : name => repository.repository_url }
}

output "place" {
  description = "This service as a region of a component `kind: ecs`."
  value       = { cluster = aws_ecs_cluster.this.name, service = aws_ecs_service.this.name }
}

output "repository_arns" {
  description = "The repository of the image where that is in ECR, for the policy of Pilotlight: it looks the image up."
  value = [
    for part in try([regex("^([0-9]{12})[.]dkr[.]ecr[.]([a-z0-9-]+)[.]amazonaws[.]com/([^:@]+)", var.image)], []) :
    "arn:aws:ecr:${part[1]}:${part[0]}:repository/${part[2]}"
  ]
}

output "service_arn" {
  description = "ARN of the service, for the policy of Pilotlight."
  value       = aws_ecs_service.this.id
}

output "target_groups" {
  description = "Target groups that its tasks join, for a look and for tests."
  value       = [for l in aws_ecs_service.this.load_balancer : l.target_group_arn]
}

output "place" {
  description = "This service as a region of a component `kind: ecs`."
  value       = { cluster = aws_ecs_cluster.this.name, service = aws_ecs_service.this.name }
}

output "service_arn" {
  description = "ARN of the service, for the policy of Pilotlight."
  value       = aws_ecs_service.this.id
}

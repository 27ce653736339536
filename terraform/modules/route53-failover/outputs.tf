output "component" {
  description = "This name as a component of a plan of Pilotlight."
  value = {
    kind   = "route53"
    zone   = var.zone_id
    name   = var.name
    type   = var.type
    policy = var.policy
    ttl    = var.ttl
    answers = {
      for region, answer in var.answers : region => merge(
        answer.value == null ? {} : { value = answer.value },
        answer.alias == null ? {} : { alias = answer.alias },
        local.with_check ? { health_check = aws_route53_health_check.this[region].id } : {},
      )
    }
  }
}

output "health_checks" {
  description = "Ids of the health checks by region, for alarms."
  value       = { for region, check in aws_route53_health_check.this : region => check.id }
}

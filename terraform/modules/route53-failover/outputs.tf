output "component" {
  description = "This name as a component of a plan of Pilotlight."
  value = merge({
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
        local.with_check && (var.switch == null || region == var.home) ? { health_check = local.checks[region] } : {},
      )
    }
    }, var.switch == null ? {} : {
    switch = {
      home   = var.home
      bucket = var.switch.bucket
      object = var.switch.object
      # As long as the checkers need for `check_failures` of the same answer, and one interval more.
      takes = "${var.check_interval * (var.check_failures + 1)}s"
    }
  })
}

output "health_checks" {
  description = "Ids of the health checks by region, for alarms."
  value       = { for region, check in aws_route53_health_check.this : region => check.id }
}

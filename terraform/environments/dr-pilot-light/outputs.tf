output "pilotlight" {
  description = "What `pilotlight import terraform` makes a plan of."
  value = {
    application = var.name
    regions     = [var.primary_region, var.standby_region]
    objectives  = { rto = "${var.objectives.rto_seconds}s", rpo = "${var.objectives.rpo_seconds}s" }
    aws         = module.rights.access
    drill       = var.test
    # All that the topic `global` tells: the function knows each.
    alarms = { for region, arn in module.monitoring.health_alarms : "health-${region}" => { alarm = arn, region = region } }
    components = {
      database = module.database.component
      web = {
        kind             = "ecs"
        active           = var.scaling.active
        standby          = var.scaling.standby
        active_provider  = "FARGATE"
        standby_provider = "FARGATE_SPOT"
        regions = {
          (var.primary_region) = module.service_primary.place
          (var.standby_region) = module.service_standby.place
        }
      }
      name   = module.name.component
      people = module.monitoring.component
    }
  }
}

output "function_arn" {
  description = "The function, where there is one."
  value       = one([for f in module.function : f.function_arn])
}

output "alarms" {
  description = "By region: the alarm that says that it is not healthy. The function hears all of them."
  value       = module.monitoring.health_alarms
}

output "wakes" {
  description = "What wakes the function, where there is one."
  value       = one([for f in module.function : f.wakes])
}

output "role_arn" {
  description = "The role of Pilotlight."
  value       = module.rights.role_arn
}

output "pilotlight" {
  description = "What `pilotlight import terraform` makes a plan of."
  value = {
    application = var.name
    regions     = [var.primary_region, var.standby_region]
    objectives  = { rto = "${var.objectives.rto_seconds}s", rpo = "${var.objectives.rpo_seconds}s" }
    aws         = module.rights.access
    components = merge(
      {
        database = module.database.component
        objects  = module.objects.component
        name     = module.name.component
        people   = module.monitoring.component
      },
      {
        for name, service in var.services : name => {
          kind    = "ecs"
          active  = service.active
          standby = service.standby
          regions = {
            (var.primary_region) = module.service_primary[name].place
            (var.standby_region) = module.service_standby[name].place
          }
        }
      },
    )
  }
}

output "role_arn" {
  description = "The role of Pilotlight."
  value       = module.rights.role_arn
}

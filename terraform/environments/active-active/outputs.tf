output "pilotlight" {
  description = "What `pilotlight import terraform` makes a plan of."
  value = {
    application = var.name
    regions     = [var.primary_region, var.standby_region]
    objectives  = { rto = "${var.objectives.rto_seconds}s", rpo = "${var.objectives.rpo_seconds}s" }
    components = merge(
      {
        database  = module.database.component
        objects   = module.objects.component
        addresses = module.addresses.component
        people    = module.monitoring.component
      },
      {
        group = {
          kind        = "autoscaling"
          active      = var.group.active.desired
          standby     = var.group.standby.desired
          active_max  = var.group.active.max
          standby_max = var.group.standby.max
          regions = {
            (var.primary_region) = module.group_primary.place
            (var.standby_region) = module.group_standby.place
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

output "pilotlight" {
  description = "What `pilotlight import terraform` makes a plan of."
  value = {
    application = var.name
    regions     = [var.primary_region, var.standby_region]
    objectives  = { rto = "${var.objectives.rto_seconds}s", rpo = "${var.objectives.rpo_seconds}s" }
    aws         = module.rights.access
    shares      = { (var.primary_region) = var.shares.primary, (var.standby_region) = var.shares.standby }
    components = merge(
      {
        database  = merge(module.database.component, { writes = "across" })
        objects   = merge(module.objects.component, { writes = "beside" })
        addresses = module.addresses.component
        people    = { kind = "sns", topic = module.monitoring.topics.global }
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

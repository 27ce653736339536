output "pilotlight" {
  description = "What `pilotlight import terraform` makes a plan of."
  value = {
    application = var.name
    regions     = [var.primary_region, var.standby_region]
    objectives  = { rto = "${var.objectives.rto_seconds}s", rpo = "${var.objectives.rpo_seconds}s" }
    # The copies are encrypted with the key of their region: without it they are nothing.
    aws = merge(module.rights.access, {
      regions = {
        (var.primary_region) = { needs = { keys = [module.keys_primary.alias] } }
        (var.standby_region) = { needs = { keys = [module.keys_standby.alias] } }
      }
    })
    components = {
      database = module.database.component
      cache    = module.cache.component
      objects  = module.objects.component
      nodes = {
        kind        = "eks"
        active      = var.primary_nodes.active
        active_max  = var.primary_nodes.max
        standby     = var.nodes.desired
        standby_max = var.nodes.max
        regions = {
          (var.primary_region) = { cluster = var.primary_nodes.cluster, node_group = var.primary_nodes.node_group }
          (var.standby_region) = module.nodes.place
        }
      }
      name   = module.name.component
      people = module.monitoring.component
    }
  }
}

output "role_arn" {
  description = "The role of Pilotlight."
  value       = module.rights.role_arn
}

output "component" {
  description = "This database as a component of a plan of Pilotlight."
  value = {
    kind = "rds"
    regions = {
      (data.aws_region.primary.name) = merge(
        { instance = local.names.primary },
        length(var.networks.primary.closed_group_ids) == 0 ? {} : {
          open_groups   = var.networks.primary.security_group_ids
          closed_groups = var.networks.primary.closed_group_ids
        },
      )
      (data.aws_region.standby.name) = merge(
        { instance = local.names.standby },
        length(var.networks.standby.closed_group_ids) == 0 ? {} : {
          open_groups   = var.networks.standby.security_group_ids
          closed_groups = var.networks.standby.closed_group_ids
        },
      )
    }
  }
}

output "instance_arns" {
  description = "ARNs of both names, for the policy of Pilotlight, whichever instance has them by now."
  value = [
    "${trimsuffix(aws_db_instance.primary.arn, aws_db_instance.primary.identifier)}${local.names.primary}",
    "${trimsuffix(aws_db_instance.standby.arn, aws_db_instance.standby.identifier)}${local.names.standby}",
  ]
}

output "monitoring_role_arn" {
  description = "ARN of the role the instances are watched with, for the policy of Pilotlight: a new replica is watched with it, too."
  value       = module.monitoring_role.arn
}

output "endpoints" {
  description = "HOST:PORT by region, of whichever instance has the name by now: the first part of a host is its instance's name, the rest that of account and region. Which one writes is not known here: it moves."
  value = {
    (data.aws_region.primary.name) = replace(aws_db_instance.primary.endpoint, "/^[^.]+/", local.names.primary)
    (data.aws_region.standby.name) = replace(aws_db_instance.standby.endpoint, "/^[^.]+/", local.names.standby)
  }
}

output "component" {
  description = "This database as a component of a plan of Pilotlight."
  value = {
    kind = "rds"
    regions = {
      (data.aws_region.primary.name) = merge(
        { instance = aws_db_instance.primary.identifier },
        length(var.networks.primary.closed_group_ids) == 0 ? {} : {
          open_groups   = var.networks.primary.security_group_ids
          closed_groups = var.networks.primary.closed_group_ids
        },
      )
      (data.aws_region.standby.name) = merge(
        { instance = aws_db_instance.standby.identifier },
        length(var.networks.standby.closed_group_ids) == 0 ? {} : {
          open_groups   = var.networks.standby.security_group_ids
          closed_groups = var.networks.standby.closed_group_ids
        },
      )
    }
  }
}

output "instance_arns" {
  description = "ARNs of both instances, for the policy of Pilotlight."
  value       = [aws_db_instance.primary.arn, aws_db_instance.standby.arn]
}

output "monitoring_role_arn" {
  description = "ARN of the role the instances are watched with, for the policy of Pilotlight: a new replica is watched with it, too."
  value       = module.monitoring_role.arn
}

output "endpoints" {
  description = "HOST:PORT by region. Which one writes is not known here: it moves."
  value = {
    (data.aws_region.primary.name) = aws_db_instance.primary.endpoint
    (data.aws_region.standby.name) = aws_db_instance.standby.endpoint
  }
}

output "component" {
  description = "This cache as a component of a plan of Pilotlight."
  value = {
    kind             = "elasticache"
    global_datastore = aws_elasticache_global_replication_group.this.global_replication_group_id
    regions = {
      (data.aws_region.primary.name) = { group = aws_elasticache_replication_group.primary.replication_group_id }
      (data.aws_region.standby.name) = { group = aws_elasticache_replication_group.standby.replication_group_id }
    }
  }
}

output "group_arns" {
  description = "ARNs of the global group and its members, for the policy of Pilotlight."
  value = [
    aws_elasticache_global_replication_group.this.arn,
    aws_elasticache_replication_group.primary.arn,
    aws_elasticache_replication_group.standby.arn,
  ]
}

output "endpoints" {
  description = "Primary endpoint by region. Which one writes is not known here: it moves."
  value = {
    (data.aws_region.primary.name) = aws_elasticache_replication_group.primary.primary_endpoint_address
    (data.aws_region.standby.name) = aws_elasticache_replication_group.standby.primary_endpoint_address
  }
}

output "standby_nodes" {
  description = "The nodes of the standby region's group as AWS names them, for `cache_nodes` of the module monitoring."
  value = {
    (aws_elasticache_replication_group.standby.replication_group_id) = [
      for n in range(var.nodes) : format("%s-%03d", aws_elasticache_replication_group.standby.replication_group_id, n + 1)
    ]
  }
}

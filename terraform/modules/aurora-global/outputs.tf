output "component" {
  description = "This database as a component of a plan of Pilotlight."
  value = {
    kind           = "aurora"
    global_cluster = aws_rds_global_cluster.this.global_cluster_identifier
    regions = {
      (data.aws_region.primary.name) = { cluster = aws_rds_cluster.primary.cluster_identifier }
      (data.aws_region.standby.name) = { cluster = aws_rds_cluster.standby.cluster_identifier }
    }
  }
}

output "cluster_arns" {
  description = "ARNs of the global cluster and its members, for the policy of Pilotlight."
  value       = [aws_rds_global_cluster.this.arn, aws_rds_cluster.primary.arn, aws_rds_cluster.standby.arn]
}

output "endpoints" {
  description = "Endpoint by region. Which one writes is not known here: it moves."
  value = {
    (data.aws_region.primary.name) = aws_rds_cluster.primary.endpoint
    (data.aws_region.standby.name) = aws_rds_cluster.standby.endpoint
  }
}

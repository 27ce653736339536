output "component" {
  description = "This database as a component of a plan of Pilotlight."
  value = {
    kind = "rds"
    regions = {
      (data.aws_region.primary.name) = { instance = aws_db_instance.primary.identifier }
      (data.aws_region.standby.name) = { instance = aws_db_instance.standby.identifier }
    }
  }
}

output "instance_arns" {
  description = "ARNs of both instances, for the policy of Pilotlight."
  value       = [aws_db_instance.primary.arn, aws_db_instance.standby.arn]
}

output "endpoints" {
  description = "HOST:PORT by region. Which one writes is not known here: it moves."
  value = {
    (data.aws_region.primary.name) = aws_db_instance.primary.endpoint
    (data.aws_region.standby.name) = aws_db_instance.standby.endpoint
  }
}

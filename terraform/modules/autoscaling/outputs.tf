output "place" {
  description = "This group as a region of a component `kind: autoscaling`."
  value       = aws_autoscaling_group.this.name
}

output "group_arn" {
  description = "ARN of the group, for the policy of Pilotlight."
  value       = aws_autoscaling_group.this.arn
}

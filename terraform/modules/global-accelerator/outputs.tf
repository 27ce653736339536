output "accelerator" {
  description = "ARN and DNS name of the accelerator."
  value       = { arn = aws_globalaccelerator_accelerator.this.id, dns_name = aws_globalaccelerator_accelerator.this.dns_name }
}

output "arns" {
  description = "The accelerator, its listener and its groups, for the policy of Pilotlight."
  value = concat(
    [aws_globalaccelerator_accelerator.this.id, aws_globalaccelerator_listener.this.id],
    [for group in aws_globalaccelerator_endpoint_group.this : group.id],
  )
}

output "component" {
  description = "This accelerator as a component of a plan of Pilotlight."
  value = {
    kind     = "global-accelerator"
    listener = aws_globalaccelerator_listener.this.id
    regions  = { for region, group in aws_globalaccelerator_endpoint_group.this : region => { endpoint_group = group.id } }
  }
}

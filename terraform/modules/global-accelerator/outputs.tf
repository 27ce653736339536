output "accelerator" {
  description = "ARN and DNS name of the accelerator."
  value       = { arn = aws_globalaccelerator_accelerator.this.id, dns_name = aws_globalaccelerator_accelerator.this.dns_name }
}

output "component" {
  description = "This accelerator as a component of a plan of Pilotlight."
  value = {
    kind     = "global-accelerator"
    listener = aws_globalaccelerator_listener.this.id
    regions  = { for region, group in aws_globalaccelerator_endpoint_group.this : region => { endpoint_group = group.id } }
  }
}

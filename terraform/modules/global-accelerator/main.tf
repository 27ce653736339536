# Two fixed addresses for the world, and an endpoint group per region whose dial Pilotlight turns: no resolver has to forget
# anything. The flow logs go to a bucket outside of the regions that may die.

resource "aws_globalaccelerator_accelerator" "this" {
  name            = var.name
  ip_address_type = "IPV4"
  enabled         = true
  tags            = var.tags

  attributes {
    flow_logs_enabled   = true
    flow_logs_s3_bucket = var.log_bucket
    flow_logs_s3_prefix = var.name
  }
}

resource "aws_globalaccelerator_listener" "this" {
  accelerator_arn = aws_globalaccelerator_accelerator.this.id
  protocol        = "TCP"
  client_affinity = var.client_affinity

  port_range {
    from_port = var.port
    to_port   = var.port
  }
}

resource "aws_globalaccelerator_endpoint_group" "this" {
  for_each = var.regions

  listener_arn                  = aws_globalaccelerator_listener.this.id
  endpoint_group_region         = each.key
  traffic_dial_percentage       = each.value.dial
  health_check_protocol         = "HTTPS"
  health_check_port             = var.port
  health_check_path             = var.check_path
  health_check_interval_seconds = 10
  threshold_count               = 3

  endpoint_configuration {
    endpoint_id                    = each.value.load_balancer_arn
    weight                         = 128
    client_ip_preservation_enabled = true
  }

  lifecycle {
    ignore_changes = [
      # Pilotlight turns the dials: 0 drains a region.
      traffic_dial_percentage,
      # Weights may be moved by hand while a region is being tried; ARN and weight are one block.
      endpoint_configuration,
    ]
  }
}

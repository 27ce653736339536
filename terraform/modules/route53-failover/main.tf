# A name that leads users to the region that serves, and a health check of each region.
# The set identifiers are the names of the regions: by them Pilotlight knows its records.

locals {
  with_check = var.policy == "failover" || var.answer_by_health
}

resource "aws_route53_health_check" "this" {
  for_each = var.answers

  type              = "HTTPS"
  fqdn              = each.value.check_host
  port              = 443
  resource_path     = var.check_path
  request_interval  = var.check_interval
  failure_threshold = var.check_failures
  measure_latency   = true
  tags              = merge(var.tags, { Name = "${var.name} ${each.key}" })

  lifecycle {
    # A drill makes a region look lost by turning its check round; a disabled check counts as healthy.
    ignore_changes = [invert_healthcheck, disabled]
  }
}

resource "aws_route53_record" "weighted" {
  for_each = var.policy == "weighted" ? var.answers : {}

  zone_id         = var.zone_id
  name            = var.name
  type            = var.type
  set_identifier  = each.key
  ttl             = each.value.value == null ? null : var.ttl
  records         = each.value.value == null ? null : [each.value.value]
  health_check_id = local.with_check ? aws_route53_health_check.this[each.key].id : null

  weighted_routing_policy {
    weight = each.key == var.home ? 100 : 0
  }

  dynamic "alias" {
    for_each = each.value.alias == null ? [] : [each.value.alias]
    content {
      name                   = alias.value.name
      zone_id                = alias.value.zone
      evaluate_target_health = true
    }
  }

  lifecycle {
    # Pilotlight moves users by the weights; Terraform must not move them back.
    ignore_changes = [weighted_routing_policy]
  }
}

resource "aws_route53_record" "failover" {
  for_each = var.policy == "failover" ? var.answers : {}

  zone_id         = var.zone_id
  name            = var.name
  type            = var.type
  set_identifier  = each.key
  ttl             = each.value.value == null ? null : var.ttl
  records         = each.value.value == null ? null : [each.value.value]
  health_check_id = aws_route53_health_check.this[each.key].id

  failover_routing_policy {
    type = each.key == var.home ? "PRIMARY" : "SECONDARY"
  }

  dynamic "alias" {
    for_each = each.value.alias == null ? [] : [each.value.alias]
    content {
      name                   = alias.value.name
      zone_id                = alias.value.zone
      evaluate_target_health = true
    }
  }

  lifecycle {
    # Pilotlight makes the region that serves the primary; Terraform must not make it the secondary again.
    ignore_changes = [failover_routing_policy]
  }
}

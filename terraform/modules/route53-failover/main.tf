# A name that leads users to the region that serves, and a health check of each region.
# The set identifiers are the names of the regions: by them Pilotlight knows its records.

# With `switch` users are led by an object instead: home's record is the primary, its check asks for the object and is
# inverted, and no record is ever changed. The checks of the regions' health are then for alarms alone.

locals {
  with_check = var.policy == "failover" || var.answer_by_health
  # The check of each record. With a switch only home's has one: a bad check away from home would undo the switch.
  checks = {
    for region, _ in var.answers : region => (
      var.switch == null ? (local.with_check ? aws_route53_health_check.this[region].id : null) :
      region == var.home ? aws_route53_health_check.switch[0].id : null
    )
  }
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

resource "aws_route53_health_check" "switch" {
  count = var.switch == null ? 0 : 1

  type               = "HTTPS"
  fqdn               = var.switch.host
  port               = 443
  resource_path      = "/${var.switch.object}"
  request_interval   = var.check_interval
  failure_threshold  = var.check_failures
  invert_healthcheck = true
  tags               = merge(var.tags, { Name = "${var.name} switch" })

  lifecycle {
    # Where S3 does not answer, a person holds users away from home by disabling it: inverted, it counts as unhealthy then.
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
  health_check_id = local.checks[each.key]

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
  health_check_id = local.checks[each.key]

  failover_routing_policy {
    type = each.key == var.home ? "PRIMARY" : "SECONDARY"
  }

  dynamic "alias" {
    for_each = each.value.alias == null ? [] : [each.value.alias]
    content {
      name    = alias.value.name
      zone_id = alias.value.zone
      # With a switch the target's health would lead users past it, and back.
      evaluate_target_health = var.switch == null
    }
  }

  lifecycle {
    # Pilotlight makes the region that serves the primary; Terraform must not make it the secondary again.
    ignore_changes = [failover_routing_policy]
  }
}

# Without an account: which records and checks the module would make.

mock_provider "aws" {}

variables {
  zone_id = "Z1"
  name    = "pay.example.com"
  home    = "us-east-1"
  answers = {
    us-east-1 = { check_host = "east.example.com", value = "192.0.2.1" }
    us-west-2 = { check_host = "west.example.com", value = "192.0.2.2" }
  }
}

run "weights_lead_home_and_checks_decide_nothing" {
  assert {
    condition = (
      aws_route53_record.weighted["us-east-1"].weighted_routing_policy[0].weight == 100 &&
      aws_route53_record.weighted["us-west-2"].weighted_routing_policy[0].weight == 0
    )
    error_message = "users are not led home"
  }

  assert {
    condition     = alltrue([for r in aws_route53_record.weighted : r.health_check_id == null]) && length(output.health_checks) == 2
    error_message = "a check decides where users go past Pilotlight"
  }

  assert {
    condition     = alltrue([for region, r in aws_route53_record.weighted : r.set_identifier == region && r.ttl == 60])
    error_message = "Pilotlight would not know its records"
  }
}

# What stands for a move: the module is applied with another home, as if the weights had been changed past Terraform.
run "weights_that_pilotlight_moved_are_left_alone" {
  variables {
    home = "us-west-2"
  }

  assert {
    condition = (
      aws_route53_record.weighted["us-east-1"].weighted_routing_policy[0].weight == 100 &&
      aws_route53_record.weighted["us-west-2"].weighted_routing_policy[0].weight == 0
    )
    error_message = "Terraform would lead users elsewhere than Pilotlight"
  }
}

run "health_checks_decide_between_primary_and_secondary" {
  variables {
    policy         = "failover"
    check_interval = 10
    answers = {
      us-east-1 = { check_host = "east.example.com", alias = { name = "east.elb.amazonaws.com", zone = "Z35" } }
      us-west-2 = { check_host = "west.example.com", alias = { name = "west.elb.amazonaws.com", zone = "Z1H" } }
    }
  }

  assert {
    condition = (
      aws_route53_record.failover["us-east-1"].failover_routing_policy[0].type == "PRIMARY" &&
      aws_route53_record.failover["us-west-2"].failover_routing_policy[0].type == "SECONDARY" &&
      length(aws_route53_record.weighted) == 0
    )
    error_message = "home is not the primary"
  }

  assert {
    condition     = alltrue([for r in aws_route53_record.failover : r.alias[0].evaluate_target_health])
    error_message = "an alias that Pilotlight would write differently"
  }
}

run "a_primary_that_pilotlight_made_is_left_alone" {
  variables {
    policy         = "failover"
    check_interval = 10
    home           = "us-west-2"
    answers = {
      us-east-1 = { check_host = "east.example.com", alias = { name = "east.elb.amazonaws.com", zone = "Z35" } }
      us-west-2 = { check_host = "west.example.com", alias = { name = "west.elb.amazonaws.com", zone = "Z1H" } }
    }
  }

  assert {
    condition = (
      aws_route53_record.failover["us-east-1"].failover_routing_policy[0].type == "PRIMARY" &&
      aws_route53_record.failover["us-west-2"].failover_routing_policy[0].type == "SECONDARY"
    )
    error_message = "Terraform would make the region that does not serve the primary"
  }
}

run "an_answer_of_both_kinds_is_refused" {
  command = plan

  variables {
    answers = {
      us-east-1 = { check_host = "east.example.com", value = "192.0.2.1", alias = { name = "a", zone = "Z" } }
      us-west-2 = { check_host = "west.example.com", value = "192.0.2.2" }
    }
    check_interval = 20
  }

  expect_failures = [var.answers, var.check_interval]
}

run "a_switch_moves_users_and_no_health_does" {
  variables {
    policy         = "failover"
    check_interval = 10
    switch         = { bucket = "pay-switch", object = "users-are-away", host = "pay-switch.s3.us-west-2.amazonaws.com" }
    answers = {
      us-east-1 = { check_host = "east.example.com", alias = { name = "east.elb.amazonaws.com", zone = "Z35" } }
      us-west-2 = { check_host = "west.example.com", alias = { name = "west.elb.amazonaws.com", zone = "Z1H" } }
    }
  }

  assert {
    condition = (
      aws_route53_health_check.switch[0].invert_healthcheck &&
      aws_route53_health_check.switch[0].type == "HTTPS" &&
      aws_route53_health_check.switch[0].fqdn == "pay-switch.s3.us-west-2.amazonaws.com" &&
      aws_route53_health_check.switch[0].resource_path == "/users-are-away"
    )
    error_message = "the check asks for something else than the object, or is not inverted"
  }

  assert {
    condition = (
      aws_route53_record.failover["us-east-1"].health_check_id == aws_route53_health_check.switch[0].id &&
      aws_route53_record.failover["us-west-2"].health_check_id == null &&
      alltrue([for r in aws_route53_record.failover : !r.alias[0].evaluate_target_health])
    )
    error_message = "something else than the object would move users"
  }

  assert {
    condition = output.component.switch == {
      home   = "us-east-1"
      bucket = "pay-switch"
      object = "users-are-away"
      takes  = "40s"
    } && [for region, a in output.component.answers : region if can(a.health_check)] == ["us-east-1"]
    error_message = "a plan that Pilotlight refuses: ${jsonencode(output.component)}"
  }

  assert {
    condition     = length(output.health_checks) == 2
    error_message = "nobody is alarmed of a region's health"
  }
}

run "a_switch_that_would_be_lost_with_home_or_that_weights_undo_is_refused" {
  command = plan

  variables {
    policy = "weighted"
    switch = { bucket = "pay-switch", object = "users-are-away", host = "pay-switch.s3.us-east-1.amazonaws.com" }
  }

  expect_failures = [var.switch]
}

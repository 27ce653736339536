# Without an account: the environment as terraform.tfvars makes it, and what the plan of Pilotlight will say.

mock_provider "aws" {
  alias  = "primary"
  source = "../../mocks/us-east-1"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/primary" }
  }
}

mock_provider "aws" {
  alias  = "standby"
  source = "../../mocks/eu-west-1"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/standby" }
  }
}

mock_provider "aws" {
  alias  = "global"
  source = "../../mocks/us-east-1"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/global" }
  }
}

variables {
  master_password = "not-a-secret"
}

run "as_the_variables_say" {
  assert {
    condition     = length([for c in values(output.pilotlight.components) : c if c.kind == "ecs"]) == 6
    error_message = "a service is missing in the plan"
  }

  assert {
    condition     = output.pilotlight.components.name.policy == "failover" && length(output.pilotlight.components.name.answers) == 2
    error_message = "users would not be led by health"
  }

  assert {
    condition     = module.rights.keys.sns == tolist([module.keys_standby.arn])
    error_message = "nothing could be told through the encrypted topic"
  }
}

# An imported plan warns of nothing that the example's does not warn of.
run "objects_are_those_of_the_example" {
  assert {
    condition = length(distinct([for c in [output.pilotlight.components.objects, yamldecode(file("../../../examples/ecommerce/pilotlight.yaml")).components.objects] : jsonencode({
      writes          = try(c.writes, null)
      existing_copied = try(c.existing_copied, false)
      regions         = keys(c.regions)
    })])) == 1
    error_message = "examples/ecommerce says something else of its buckets: ${jsonencode(output.pilotlight.components.objects)}"
  }
}

# What the records of the example and of the environment have in common: all but the ids that only AWS knows.
run "records_are_those_of_the_example" {
  assert {
    condition = length(distinct([for c in [output.pilotlight.components.name, yamldecode(file("../../../examples/ecommerce/pilotlight.yaml")).components.name] : jsonencode({
      zone    = c.zone
      name    = c.name
      type    = try(c.type, "A")
      policy  = try(c.policy, "weighted")
      ttl     = try(c.ttl, 60)
      answers = { for region, a in c.answers : region => [can(a.health_check), try(a.value, null), try(a.alias, null)] }
    })])) == 1
    error_message = "examples/ecommerce would find other records than those that stand here"
  }
}

run "users_reach_each_service_in_both_regions" {
  assert {
    condition = alltrue([
      for name, s in var.services : s.target_groups != null &&
      module.service_primary[name].target_groups == [s.target_groups.primary] &&
      module.service_standby[name].target_groups == [s.target_groups.standby]
    ])
    error_message = "tasks that no load balancer knows"
  }
}

run "a_target_group_of_the_other_region_is_refused" {
  command = plan

  variables {
    services = {
      web = {
        active  = 3
        standby = 1
        images  = { primary = "a", standby = "b" }
        target_groups = {
          primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0"
          standby = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0"
        }
      }
    }
  }

  expect_failures = [var.services]
}

run "a_state_in_a_region_that_may_be_lost_is_refused" {
  command = plan

  variables {
    standby_region = "us-east-2"
  }

  expect_failures = [var.standby_region]
}

# All that a component says is what the example says of it, but for ids and ARNs, which only AWS knows, security groups, which are
# yours, and names of Route 53, which are compared elsewhere.
run "components_are_those_of_the_example" {
  assert {
    condition = length(distinct([for all in [output.pilotlight.components, yamldecode(file("../../../examples/ecommerce/pilotlight.yaml")).components] : jsonencode({
      for name, c in all : name => c.kind == "route53" ? "" : jsonencode({
        for key, value in c : key => (
          contains(["global_datastore", "topic", "listener"], key) ? "" :
          key == "regions" && c.kind == "global-accelerator" ? jsonencode(keys(value)) :
          key == "regions" && c.kind == "rds" ? try(jsonencode({ for region, at in value : region => at.instance }), "") :
          jsonencode(value)
        )
      })
    })])) == 1
    error_message = "examples/ecommerce says something else: ${jsonencode(output.pilotlight.components)}"
  }
}

run "the_plan_names_the_account_and_the_role_that_has_the_rights" {
  assert {
    condition     = output.pilotlight.aws.account == "123456789012" && output.pilotlight.aws.role == module.rights.role_arn && endswith(yamldecode(file("../../../examples/ecommerce/pilotlight.yaml")).aws.role, ":role/${var.name}-pilotlight")
    error_message = "Pilotlight would act without the rights that are made for it: ${jsonencode(output.pilotlight.aws)}"
  }
}

# Without an account: the environment as terraform.tfvars makes it, and what the plan of Pilotlight will say.

mock_provider "aws" {
  alias  = "primary"
  source = "../../mocks/us-west-2"
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:123456789012:key/primary" }
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
    condition     = output.pilotlight.components.group.active == 8 && output.pilotlight.components.group.standby_max == 3
    error_message = "the plan would scale otherwise"
  }

  assert {
    condition     = length(output.pilotlight.components.addresses.regions) == 2
    error_message = "a region gets no users"
  }

  assert {
    condition     = module.rights.keys.sns == tolist([module.keys_global.arn])
    error_message = "nothing could be told through the encrypted topic"
  }
}

# An imported plan warns of nothing that the example's does not warn of.
run "objects_are_those_of_the_example" {
  assert {
    condition = length(distinct([for c in [output.pilotlight.components.objects, yamldecode(file("../../../examples/active-active/pilotlight.yaml")).components.objects] : jsonencode({
      writes          = try(c.writes, null)
      existing_copied = try(c.existing_copied, false)
      regions         = keys(c.regions)
    })])) == 1
    error_message = "examples/active-active says something else of its buckets: ${jsonencode(output.pilotlight.components.objects)}"
  }
}

run "users_are_led_as_the_plan_says" {
  assert {
    condition     = output.pilotlight.shares == yamldecode(file("../../../examples/active-active/pilotlight.yaml")).shares
    error_message = "the plan of the example would tell drift"
  }

  assert {
    condition     = output.pilotlight.components.database.writes == "across" && output.pilotlight.components.objects.writes == "beside"
    error_message = "the plan would not say who writes"
  }
}

run "shares_that_are_not_the_whole_are_refused" {
  command = plan

  variables {
    shares = { primary = 60, standby = 50 }
  }

  expect_failures = [var.shares]
}

# All but the ids that only AWS knows.
run "groups_are_those_of_the_example" {
  assert {
    condition     = keys(output.pilotlight.components.addresses.regions) == keys(yamldecode(file("../../../examples/active-active/pilotlight.yaml")).components.addresses.regions)
    error_message = "examples/active-active would find other groups than those that stand here"
  }
}

run "a_state_in_a_region_that_may_be_lost_is_refused" {
  command = plan

  variables {
    standby_region = "eu-central-1"
  }

  expect_failures = [var.standby_region]
}

# All that a component says is what the example says of it, but for ids and ARNs, which only AWS knows, security groups, which are
# yours, and names of Route 53, which are compared elsewhere.
run "components_are_those_of_the_example" {
  assert {
    condition = length(distinct([for all in [output.pilotlight.components, yamldecode(file("../../../examples/active-active/pilotlight.yaml")).components] : jsonencode({
      for name, c in all : name => c.kind == "route53" ? "" : jsonencode({
        for key, value in c : key => (
          contains(["global_datastore", "topic", "listener"], key) ? "" :
          key == "regions" && c.kind == "global-accelerator" ? jsonencode(keys(value)) :
          key == "regions" && c.kind == "rds" ? try(jsonencode({ for region, at in value : region => at.instance }), "") :
          jsonencode(value)
        )
      })
    })])) == 1
    error_message = "examples/active-active says something else: ${jsonencode(output.pilotlight.components)}"
  }
}

run "the_plan_names_the_account_and_the_role_that_has_the_rights" {
  assert {
    condition     = output.pilotlight.aws.account == "123456789012" && output.pilotlight.aws.role == module.rights.role_arn && endswith(yamldecode(file("../../../examples/active-active/pilotlight.yaml")).aws.role, ":role/${var.name}-pilotlight")
    error_message = "Pilotlight would act without the rights that are made for it: ${jsonencode(output.pilotlight.aws)}"
  }
}

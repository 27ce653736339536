# Without an account: what the module would make, and what it leaves alone.

mock_provider "aws" {
  alias = "primary"
  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/r" }
  }
  mock_resource "aws_db_instance" {
    # Renamed and kept since: a replica that no state knows has its name.
    defaults = {
      arn      = "arn:aws:rds:us-east-1:123456789012:db:shop-us-east-1"
      endpoint = "shop-us-east-1-before-3.c0ffee.us-east-1.rds.amazonaws.com:5432"
    }
  }
}

mock_provider "aws" {
  alias = "standby"
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_db_instance" {
    defaults = {
      arn      = "arn:aws:rds:us-west-2:123456789012:db:shop-us-west-2"
      endpoint = "shop-us-west-2.c0ffee.us-west-2.rds.amazonaws.com:5432"
    }
  }
}

variables {
  name            = "shop"
  master_password = "not-a-secret"
  kms_key_arns = {
    primary = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-1111-1111-111111111111"
    standby = "arn:aws:kms:us-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
  }
  networks = {
    primary = { subnet_group = "data", security_group_ids = ["sg-1"] }
    standby = { subnet_group = "data", security_group_ids = ["sg-2"], closed_group_ids = ["sg-3"] }
  }
}

run "both_are_encrypted_protected_and_in_two_zones" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  assert {
    condition = alltrue([
      for i in [aws_db_instance.primary, aws_db_instance.standby] :
      i.storage_encrypted && i.deletion_protection && i.multi_az && !i.skip_final_snapshot && i.backup_retention_period > 0
    ])
    error_message = "an instance is not as safe as the module says"
  }

  assert {
    condition     = aws_db_instance.standby.replicate_source_db == aws_db_instance.primary.arn
    error_message = "the standby follows nobody"
  }

  assert {
    condition     = output.component.regions["us-west-2"].instance == "shop-us-west-2" && output.component.regions["us-west-2"].closed_groups == tolist(["sg-3"])
    error_message = "the plan would name another instance"
  }

  assert {
    condition = output.endpoints == {
      us-east-1 = "shop-us-east-1.c0ffee.us-east-1.rds.amazonaws.com:5432"
      us-west-2 = "shop-us-west-2.c0ffee.us-west-2.rds.amazonaws.com:5432"
    }
    error_message = "the service would be led to an instance that was kept"
  }
}

# What stands for a planned move: clients are shut out past Terraform.
run "what_pilotlight_moves_is_left_alone" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  variables {
    name = "another"
    networks = {
      primary = { subnet_group = "data", security_group_ids = ["sg-9"] }
      standby = { subnet_group = "data", security_group_ids = ["sg-9"] }
    }
  }

  assert {
    condition = (
      aws_db_instance.primary.vpc_security_group_ids == toset(["sg-1"]) && aws_db_instance.primary.identifier == "shop-us-east-1" &&
      aws_db_instance.standby.vpc_security_group_ids == toset(["sg-2"]) && aws_db_instance.standby.identifier == "shop-us-west-2"
    )
    error_message = "Terraform would let clients into an instance that was shut"
  }

  # The instance has another name than the module's: rights and plan go by the name.
  assert {
    condition     = output.instance_arns[0] == "arn:aws:rds:us-east-1:123456789012:db:another-us-east-1" && output.component.regions["us-east-1"].instance == "another-us-east-1"
    error_message = "rights would go with an instance that was renamed"
  }
}

run "no_backups_and_one_key_are_refused" {
  providers = {
    aws.primary = aws.primary
    aws.standby = aws.standby
  }

  command = plan

  variables {
    backup_days  = { primary = 30, standby = 0 }
    kms_key_arns = { primary = "arn:aws:kms:us-east-1:1:key/1", standby = "arn:aws:kms:us-east-1:1:key/1" }
  }

  expect_failures = [var.backup_days, var.kms_key_arns]
}

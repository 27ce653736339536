# What tests without an account are told of us-west-2.

mock_data "aws_region" {
  defaults = { name = "us-west-2" }
}

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{}" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/r" }
}

mock_resource "aws_iam_policy" {
  defaults = { arn = "arn:aws:iam::123456789012:policy/p" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:us-west-2:123456789012:incidents" }
}

mock_resource "aws_ecs_task_definition" {
  defaults = { arn = "arn:aws:ecs:us-west-2:123456789012:task-definition/t:1" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::bucket-us-west-2" }
}

mock_resource "aws_launch_template" {
  defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
}

mock_resource "aws_backup_vault" {
  defaults = { arn = "arn:aws:backup:us-west-2:123456789012:backup-vault:v" }
}

mock_resource "aws_globalaccelerator_accelerator" {
  defaults = { id = "arn:aws:globalaccelerator::123456789012:accelerator/1" }
}

mock_resource "aws_globalaccelerator_listener" {
  defaults = { id = "arn:aws:globalaccelerator::123456789012:accelerator/1/listener/2" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}

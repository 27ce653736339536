terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = ">= 5.90, < 6.0"
      configuration_aliases = [aws.primary, aws.standby, aws.global]
    }
  }
}

terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 6.0"
    }
  }

  # The state is needed most when a region is lost, so it lives in neither. The bucket must be there before:
  # terraform init -backend-config=bucket=NAME
  backend "s3" {
    key          = "ecommerce.tfstate"
    region       = "us-east-2"
    encrypt      = true
    use_lockfile = true
  }
}

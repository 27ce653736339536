# Repositories in both regions and a rule of the registry that copies every push of them. Repositories are made here on
# both sides: one that replication makes by itself is neither encrypted with our key nor immutable.
# Images that were there before the rule are not copied by it: push them again, or copy them once.

data "aws_caller_identity" "this" {
  provider = aws.primary
}

data "aws_region" "standby" {
  provider = aws.standby
}

locals {
  lifecycle = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "images without a tag go"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = var.untagged_days }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecr_repository" "primary" {
  provider = aws.primary
  for_each = var.repositories

  name                 = each.key
  image_tag_mutability = "IMMUTABLE"
  tags                 = var.tags

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arns.primary
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_repository" "standby" {
  provider = aws.standby
  for_each = var.repositories

  name                 = each.key
  image_tag_mutability = "IMMUTABLE"
  tags                 = var.tags

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arns.standby
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "primary" {
  provider = aws.primary
  for_each = var.repositories

  repository = aws_ecr_repository.primary[each.key].name
  policy     = local.lifecycle
}

resource "aws_ecr_lifecycle_policy" "standby" {
  provider = aws.standby
  for_each = var.repositories

  repository = aws_ecr_repository.standby[each.key].name
  policy     = local.lifecycle
}

# One per registry and region: it replaces a configuration that exists already.
resource "aws_ecr_replication_configuration" "this" {
  provider = aws.primary

  replication_configuration {
    rule {
      destination {
        region      = data.aws_region.standby.name
        registry_id = data.aws_caller_identity.this.account_id
      }

      dynamic "repository_filter" {
        for_each = var.repositories
        content {
          filter      = repository_filter.value
          filter_type = "PREFIX_MATCH"
        }
      }
    }
  }

  depends_on = [aws_ecr_repository.standby]
}

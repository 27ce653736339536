# Backups of everything that carries a tag, each copied to the other region under that region's own key and kept there for
# its own time. The locks of the vaults are in governance mode: who has the right may still remove them.

data "aws_iam_policy_document" "assume" {
  provider = aws.primary

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["backup.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  provider           = aws.primary
  name               = "${var.name}-backup"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "this" {
  provider = aws.primary
  for_each = toset(["AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores"])

  role       = aws_iam_role.this.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/${each.key}"
}

resource "aws_backup_vault" "primary" {
  provider    = aws.primary
  name        = var.name
  kms_key_arn = var.kms_key_arns.primary
  tags        = var.tags
}

resource "aws_backup_vault" "standby" {
  provider    = aws.standby
  name        = "${var.name}-copies"
  kms_key_arn = var.kms_key_arns.standby
  tags        = var.tags
}

resource "aws_backup_vault_lock_configuration" "primary" {
  provider           = aws.primary
  backup_vault_name  = aws_backup_vault.primary.name
  min_retention_days = min(var.keep_days.primary, var.least_days)
}

resource "aws_backup_vault_lock_configuration" "standby" {
  provider           = aws.standby
  backup_vault_name  = aws_backup_vault.standby.name
  min_retention_days = min(var.keep_days.standby, var.least_days)
}

resource "aws_backup_plan" "this" {
  provider = aws.primary
  name     = var.name
  tags     = var.tags

  rule {
    rule_name         = "every"
    target_vault_name = aws_backup_vault.primary.name
    schedule          = var.schedule
    start_window      = 60
    completion_window = 240

    lifecycle {
      delete_after = var.keep_days.primary
    }

    copy_action {
      destination_vault_arn = aws_backup_vault.standby.arn

      lifecycle {
        delete_after = var.keep_days.standby
      }
    }
  }
}

resource "aws_backup_selection" "this" {
  provider     = aws.primary
  name         = var.name
  plan_id      = aws_backup_plan.this.id
  iam_role_arn = aws_iam_role.this.arn

  selection_tag {
    type  = "STRINGEQUALS"
    key   = var.tag.key
    value = var.tag.value
  }
}

# What Pilotlight may do: one policy per driver, each limited to the resources of the plan. What each driver calls stands in
# rights.json, which `cargo xtask tidy` compares with docs/aws.md: `named` calls are limited to what is named, `any` are
# looks that AWS does not limit to a resource. What a service asks of a key in the caller's name stands in keys.json.

locals {
  rights = jsondecode(file("${path.module}/rights.json"))
  keys   = jsondecode(file("${path.module}/keys.json"))
  # A detach leaves two writers until a person stops one, and a replication group never joins again: only for plans that
  # say `detach: allowed`. The way back of an Aurora region changes and makes clusters, which nothing else of its driver does.
  detach = {
    aurora = [
      "rds:RemoveFromGlobalCluster",
      "rds:ModifyDBCluster",
      "rds:RebootDBInstance",
      "rds:AddTagsToResource",
      "rds:RemoveTagsFromResource",
      "rds:CreateDBClusterSnapshot",
      "rds:ModifyDBInstance",
      "rds:ModifyGlobalCluster",
      "rds:CreateGlobalCluster",
      "rds:CreateDBCluster",
      "rds:CreateDBInstance",
      "iam:PassRole",
    ]
    elasticache = ["elasticache:DisassociateGlobalReplicationGroup"]
  }
  # Of these, what a snapshot before a planned move needs (`snapshot: always`), which detaches nothing.
  snapshot = { aurora = ["rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"] }
  # A name is moved by its records, or by a switch, which is an object: what no name needs is not given.
  names = {
    records = ["route53:ChangeResourceRecordSets"]
    switch  = ["s3:ListBucket", "s3:PutObject", "s3:DeleteObject"]
  }
  has_switch = anytrue([for arn in lookup(var.resources, "route53", []) : can(regex("^arn:[^:]+:s3:", arn))])
  withheld = merge(
    {
      for driver, calls in local.detach : driver => [
        for call in calls : call if !var.allow_detach && !(var.allow_snapshot && contains(lookup(local.snapshot, driver, []), call))
      ]
    },
    { route53 = concat(local.has_switch ? [] : local.names.switch, var.records_stay ? local.names.records : []) },
  )
  calls = {
    for driver, _ in var.resources : driver => {
      for scope in ["named", "any"] : scope => [
        for call, is in local.rights[driver] : call if is == scope && !contains(try(local.withheld[driver], []), call)
      ]
    }
  }
}

locals {
  services = { for driver, _ in var.resources : driver => distinct([for call in local.calls[driver].named : split(":", call)[0]]) }
  # Calls by their service, and what of the named is for them: all but what is another's of these services.
  named = {
    for driver, arns in var.resources : driver => {
      for service in local.services[driver] : service => {
        calls = [for call in local.calls[driver].named : call if split(":", call)[0] == service]
        arns  = [for arn in arns : arn if !contains(setsubtract(local.services[driver], [service]), try(split(":", arn)[2], ""))]
      }
    }
  }
  statements = { for driver, named in local.named : driver => { for service, of in named : service => of if length(of.arns) > 0 } }
}

data "aws_iam_policy_document" "driver" {
  for_each = var.resources

  # Each service's calls on what is that service's, where the plan names such: `s3:PutObject` on a zone would mean nothing.
  dynamic "statement" {
    for_each = local.statements[each.key]
    content {
      sid       = length(local.statements[each.key]) == 1 ? "Named" : "Named${title(statement.key)}"
      actions   = statement.value.calls
      resources = statement.value.arns
    }
  }

  dynamic "statement" {
    for_each = length(local.calls[each.key].any) == 0 ? [] : [local.calls[each.key].any]
    content {
      sid       = "Look"
      actions   = statement.value
      resources = ["*"]
    }
  }

  # The service uses the key with the rights of who calls it, and only through it is the key to be had.
  dynamic "statement" {
    for_each = length(lookup(var.keys, each.key, [])) == 0 ? [] : [var.keys[each.key]]
    content {
      sid       = "Keys"
      actions   = local.keys[each.key]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = distinct([for arn in statement.value : "${each.key == "aurora" ? "rds" : each.key}.${split(":", arn)[3]}.amazonaws.com"])
      }
    }
  }
}

resource "aws_iam_policy" "driver" {
  for_each = var.resources

  name        = "${var.name}-pilotlight-${each.key}"
  description = "What the driver ${each.key} of Pilotlight calls"
  policy      = data.aws_iam_policy_document.driver[each.key].json
  tags        = var.tags
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = var.trusted_arns
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = "${var.name}-pilotlight"
  description          = "Pilotlight moves ${var.name} between regions"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  max_session_duration = 43200 # A run may take hours; its credentials must not end before it.
  tags                 = var.tags
}

resource "aws_iam_role_policy_attachment" "driver" {
  for_each = var.resources

  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.driver[each.key].arn
}

# The role may ask AWS what its own policies allow, so that `check --live` names a missing right before a move.
data "aws_iam_policy_document" "self" {
  statement {
    sid       = "Simulate"
    actions   = keys(local.rights.rights)
    resources = [aws_iam_role.this.arn]
  }
}

resource "aws_iam_policy" "self" {
  name        = "${var.name}-pilotlight-self"
  description = "Pilotlight may have its own rights simulated"
  policy      = data.aws_iam_policy_document.self.json
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "self" {
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.self.arn
}

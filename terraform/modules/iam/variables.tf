variable "name" {
  description = "Name of the application; what is made is called after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "resources" {
  description = "By driver: ARNs of what the plan names. Drivers that the plan does not use are left out."
  type        = map(list(string))
  validation {
    condition     = alltrue([for driver in keys(var.resources) : contains(keys(jsondecode(file("${path.module}/rights.json"))), driver)])
    error_message = "A driver that rights.json does not know."
  }
  validation {
    condition     = alltrue([for arns in values(var.resources) : length(arns) > 0 && !contains(arns, "*")])
    error_message = "Name the resources of each driver; `*` would be everything in the account."
  }
}

variable "keys" {
  description = "By driver (aurora, rds, sns): ARNs of the keys of yours that its resources are encrypted with. Without them an encrypted replica cannot be made and nothing can be told to an encrypted topic."
  type        = map(list(string))
  default     = {}
  validation {
    condition     = alltrue([for driver in keys(var.keys) : contains(keys(jsondecode(file("${path.module}/keys.json"))), driver) && contains(keys(var.resources), driver)])
    error_message = "A driver that asks nothing of a key, or that `resources` does not name."
  }
  validation {
    condition     = alltrue([for arn in flatten(values(var.keys)) : can(regex("^arn:[^:*]+:kms:[^:*]+:[0-9]{12}:key/[^*]+$", arn))])
    error_message = "ARNs of keys, not of aliases, each whole: a policy on an alias gives nothing, and `*` would be every key."
  }
}

variable "allow_detach" {
  description = "Gives the rights to take an Aurora cluster out of its global cluster and to let its region join again, and to take a replication group out of its Global Datastore, which it can never join again. Only for plans with `detach: allowed`. For the way back of Aurora `resources` also names, per region, `cluster:NAME-before-*`, `cluster-snapshot:NAME-before-*`, `db:NAME-*`, and the subnet and parameter groups."
  type        = bool
  default     = false
}

variable "records_stay" {
  description = "No record of Route 53 is ever changed: every name of the plan has a `switch`. For a switch `resources.route53` also names its bucket and its object (`arns` of the module route53-switch)."
  type        = bool
  default     = false
  validation {
    condition     = !var.records_stay || anytrue([for arn in lookup(var.resources, "route53", []) : can(regex("^arn:[^:]+:s3:", arn))])
    error_message = "`resources.route53` names no bucket and no object: without records nothing would move users."
  }
}

variable "allow_snapshot" {
  description = "Gives the right to make and tag a snapshot of an Aurora cluster. Only for plans whose `aurora` has `snapshot: always`; `resources` then also names, per region, `cluster-snapshot:NAME-at-*`. For `rds` the right is always there, on the snapshots that `resources` names."
  type        = bool
  default     = false
}

variable "trusted_arns" {
  description = "Who may act as Pilotlight: the role of the machine or the function its controller runs on."
  type        = list(string)
  validation {
    condition     = length(var.trusted_arns) > 0 && !contains(var.trusted_arns, "*")
    error_message = "Name who; `*` would be everybody."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

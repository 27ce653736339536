variable "name" {
  description = "Name of the application; identifiers are made of it and the region."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "engine_version" {
  description = "Version of Valkey the first group is made with."
  type        = string
  default     = "7.2"
}

variable "node_type" {
  description = "Type of the nodes. A Global Datastore needs the families m5, m6g, r5, r6g or newer, `large` or more."
  type        = string
  default     = "cache.r6g.large"
  validation {
    condition     = !can(regex("^cache\\.t", var.node_type))
    error_message = "A Global Datastore takes no nodes of the families t."
  }
}

variable "nodes" {
  description = "Nodes in each region, each in a zone of its own."
  type        = number
  default     = 2
  validation {
    condition     = var.nodes >= 2 && var.nodes <= 6
    error_message = "2 to 6: one node survives no zone."
  }
}

variable "kms_key_arns" {
  description = "A key in each region, `primary` and `standby`, for data, snapshots and insights."
  type        = object({ primary = string, standby = string })
  validation {
    condition     = var.kms_key_arns.primary != var.kms_key_arns.standby
    error_message = "Two keys: one region's key is not to be had when that region is lost."
  }
}

variable "networks" {
  description = "Subnet group and security groups in each region. The subnets span at least two zones."
  type = object({
    primary = object({ subnet_group = string, security_group_ids = list(string) })
    standby = object({ subnet_group = string, security_group_ids = list(string) })
  })
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}


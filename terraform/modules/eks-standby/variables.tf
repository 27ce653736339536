variable "name" {
  description = "Name of the application; what is made is called after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "kubernetes_version" {
  description = "The same as in the primary region."
  type        = string
  default     = "1.32"
}

variable "size" {
  description = "What the node group begins with. Afterwards the numbers belong to Pilotlight."
  type        = object({ min = number, max = number, desired = number })
  default     = { min = 1, max = 3, desired = 1 }
  validation {
    condition     = var.size.min <= var.size.desired && var.size.desired <= var.size.max && var.size.max >= 1
    error_message = "min <= desired <= max, and max at least 1."
  }
}

variable "instance_types" {
  description = "Types of the nodes, the same as in the primary region."
  type        = list(string)
  default     = ["m6i.large"]
}

variable "disk_gib" {
  description = "Disk of a node in GiB."
  type        = number
  default     = 50
}

variable "subnet_ids" {
  description = "Private subnets, in at least two zones."
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "At least two subnets, each in a zone of its own."
  }
}

variable "kms_key_arn" {
  description = "The standby region's key for secrets, disks and logs."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}


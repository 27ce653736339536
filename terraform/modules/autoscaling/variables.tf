variable "name" {
  description = "Name of the group and its launch template."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,62}$", var.name))
    error_message = "Lower case letters, digits and dashes, 3 to 63 of them, a letter first."
  }
}

variable "size" {
  description = "What the group begins with. Afterwards the numbers belong to Pilotlight."
  type        = object({ min = number, max = number, desired = number })
  validation {
    condition     = var.size.min <= var.size.desired && var.size.desired <= var.size.max && var.size.min >= 0
    error_message = "min <= desired <= max."
  }
}

variable "image_id" {
  description = "The machine image, which must be in this region."
  type        = string
}

variable "instance_type" {
  description = "Type of the instances."
  type        = string
}

variable "instance_profile" {
  description = "Instance profile, if they need one."
  type        = string
  default     = null
}

variable "user_data" {
  description = "What an instance does when it starts, in clear text. Not a place for secrets."
  type        = string
  default     = null
}

variable "root_device" {
  description = "Device name of the image's root."
  type        = string
  default     = "/dev/xvda"
}

variable "root_size_gib" {
  description = "Size of the root in GiB."
  type        = number
  default     = 20
}

variable "subnet_ids" {
  description = "Private subnets, in at least two zones."
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "At least two subnets, each in a zone of its own."
  }
}

variable "security_group_ids" {
  description = "Security groups of the instances."
  type        = list(string)
}

variable "target_group_arns" {
  description = "Target groups of the region's load balancer."
  type        = list(string)
  default     = []
}

variable "kms_key_arn" {
  description = "The region's key for the disks. The service role of Auto Scaling needs a grant for it."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

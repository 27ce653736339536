variable "name" {
  description = "Name of the application; what is made is called after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "tag" {
  description = "What carries this tag in the primary region is backed up."
  type        = object({ key = string, value = string })
}

variable "schedule" {
  description = "When, as a cron expression of AWS in UTC."
  type        = string
  default     = "cron(0 2 * * ? *)"
  validation {
    condition     = can(regex("^cron\\(.+\\)$", var.schedule))
    error_message = "A cron expression such as cron(0 2 * * ? *)."
  }
}

variable "keep_days" {
  description = "How long backups are kept in each region, in days."
  type        = object({ primary = number, standby = number })
  default     = { primary = 30, standby = 14 }
  validation {
    condition     = alltrue([for days in values(var.keep_days) : days >= 1])
    error_message = "At least a day."
  }
}

variable "least_days" {
  description = "What the locks of the vaults hold: no backup goes earlier."
  type        = number
  default     = 7
}

variable "kms_key_arns" {
  description = "A key in each region, `primary` and `standby`."
  type        = object({ primary = string, standby = string })
  validation {
    condition     = var.kms_key_arns.primary != var.kms_key_arns.standby
    error_message = "Two keys: one region's key is not to be had when that region is lost."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}


variable "repositories" {
  description = "Names of the repositories. Names that begin with one of them are replicated, too."
  type        = set(string)
  validation {
    condition     = length(var.repositories) >= 1 && length(var.repositories) <= 100
    error_message = "1 to 100: AWS takes no more filters in a rule."
  }
}

variable "kms_key_arns" {
  description = "A key in each region, `primary` and `standby`."
  type        = object({ primary = string, standby = string })
  validation {
    condition     = var.kms_key_arns.primary != var.kms_key_arns.standby
    error_message = "Two keys: one region's key is not to be had when that region is lost."
  }
}

variable "untagged_days" {
  description = "How long images without a tag are kept, in days."
  type        = number
  default     = 14
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}


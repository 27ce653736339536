variable "name" {
  description = "Name of the application; the buckets are called NAME-REGION-SUFFIX."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "suffix" {
  description = "Makes the bucket names unique in the world, for example the account's number."
  type        = string
}

variable "kms_key_arn_primary" {
  description = "The key of the bucket in the primary region."
  type        = string
}

variable "kms_key_arn_standby" {
  description = "The key of the bucket in the standby region: another one, that lives there."
  type        = string
}

variable "existing_copied" {
  description = "Nothing was in the buckets before their rules, which is so when both are made here, or a batch replication has copied it. Set it to false for buckets that were brought in by `terraform import`."
  type        = bool
  default     = true
}

variable "noncurrent_days" {
  description = "How long old versions are kept, in days. A deletion that replicates can be taken back for so long."
  type        = number
  default     = 30
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

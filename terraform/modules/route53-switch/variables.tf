variable "name" {
  description = "Name of the application; the bucket is called after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, at most 31: a name with dots in it has no certificate of S3."
  }
}

variable "suffix" {
  description = "Makes the name of the bucket unique in the world."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]{1,20}$", var.suffix))
    error_message = "Lower case letters, digits and dashes, at most 20."
  }
}

variable "object" {
  description = "Key of the object. Users are away while it is there."
  type        = string
  default     = "users-are-away"
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]*$", var.object))
    error_message = "Lower case letters, digits and dashes: it is the path that the health check asks for."
  }
}

variable "noncurrent_days" {
  description = "How long it can be seen when users were moved, in days."
  type        = number
  default     = 365
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

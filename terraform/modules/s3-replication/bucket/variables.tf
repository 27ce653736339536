variable "bucket" {
  description = "The bucket."
  type        = string
}

variable "kms_key_arn" {
  description = "The key its objects are encrypted with, in its own region."
  type        = string
}

variable "noncurrent_days" {
  description = "How long old versions are kept, in days."
  type        = number
}

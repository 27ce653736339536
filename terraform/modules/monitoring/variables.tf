variable "name" {
  description = "Name of the application; what is made is called after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "rpo_seconds" {
  description = "The recovery point objective; replicas further behind raise an alarm."
  type        = number
  validation {
    condition     = var.rpo_seconds > 0
    error_message = "More than 0: what is asynchronous promises no 0."
  }
}

variable "kms_key_arns" {
  description = "Keys of the topics, in the standby region and in us-east-1. Their policies let cloudwatch.amazonaws.com use them."
  type        = object({ standby = string, global = string })
}

variable "mail" {
  description = "Addresses that are told."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for address in var.mail : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "Addresses of mail."
  }
}

variable "health_checks" {
  description = "Health checks of Route 53 by region."
  type        = map(string)
  default     = {}
}

variable "aurora_clusters" {
  description = "Identifiers of Aurora clusters of the standby region."
  type        = set(string)
  default     = []
}

variable "rds_instances" {
  description = "Identifiers of replicas of the standby region."
  type        = set(string)
  default     = []
}

variable "ecs_services" {
  description = "Services of the standby region."
  type        = list(object({ cluster = string, service = string }))
  default     = []
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}


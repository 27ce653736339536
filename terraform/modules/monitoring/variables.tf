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
  description = "Keys of the topics, in the standby region and in us-east-1; with `buckets` also in the primary region. Their policies let cloudwatch.amazonaws.com use them."
  type        = object({ primary = optional(string), standby = string, global = string })
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
  description = "By the identifier of an Aurora cluster of the standby region: the region that it follows."
  type        = map(string)
  default     = {}
}

variable "rds_instances" {
  description = "Identifiers of replicas of the standby region."
  type        = set(string)
  default     = []
}

variable "cache_nodes" {
  description = "By the replication group of a Global Datastore in the standby region: its nodes."
  type        = map(list(string))
  default     = {}
  validation {
    condition     = alltrue([for nodes in values(var.cache_nodes) : length(nodes) >= 1 && length(nodes) <= 9])
    error_message = "One to nine nodes: an alarm looks at no more than ten figures."
  }
}

variable "buckets" {
  description = "By a name of yours: two buckets that are copied to each other, and the id of their rules."
  type        = map(object({ primary = string, standby = string, rule = string }))
  default     = {}
  validation {
    condition     = length(var.buckets) == 0 || var.kms_key_arns.primary != null
    error_message = "What S3 could not copy is told by a topic of the primary region: name its key, `kms_key_arns.primary`."
  }
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


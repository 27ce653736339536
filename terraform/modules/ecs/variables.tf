variable "name" {
  description = "Name of the cluster, the service and its container."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,62}$", var.name))
    error_message = "Lower case letters, digits and dashes, at most 63 of them, a letter first."
  }
}

variable "image" {
  description = "The image, from a registry in this region: a lost region must not take the images along."
  type        = string
}

variable "tasks" {
  description = "How many tasks the service begins with. Afterwards the number belongs to Pilotlight."
  type        = number
  validation {
    condition     = var.tasks >= 0 && floor(var.tasks) == var.tasks
    error_message = "A whole number, 0 or more."
  }
}

variable "capacity_provider" {
  description = "What tasks run on at the beginning."
  type        = string
  default     = "FARGATE"
  validation {
    condition     = contains(["FARGATE", "FARGATE_SPOT"], var.capacity_provider)
    error_message = "FARGATE or FARGATE_SPOT."
  }
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
  description = "Security groups of the tasks."
  type        = list(string)
}

variable "target_group_arn" {
  description = "Target group of the region's load balancer, type `ip`. Without it nothing is registered."
  type        = string
  default     = null
}

variable "port" {
  description = "The port the container listens on."
  type        = number
  default     = 8080
}

variable "cpu" {
  description = "CPU units of a task."
  type        = number
  default     = 512
}

variable "memory" {
  description = "Memory of a task in MiB."
  type        = number
  default     = 1024
}

variable "environment" {
  description = "Environment of the container. Not a place for secrets."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Environment of the container by ARN of a secret or parameter in this region."
  type        = map(string)
  default     = {}
}

variable "execution_role_arn" {
  description = "Role that pulls the image and writes the log."
  type        = string
}

variable "task_role_arn" {
  description = "Role of the program itself."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "The region's key for logs and the disks of tasks."
  type        = string
}

variable "log_days" {
  description = "How long logs are kept, in days."
  type        = number
  default     = 365
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

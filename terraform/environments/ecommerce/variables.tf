variable "name" {
  description = "Name of the application."
  type        = string
}

variable "primary_region" {
  description = "The region the service belongs to."
  type        = string
  validation {
    condition     = var.primary_region != "us-east-2"
    error_message = "The state lives in us-east-2: take another bucket in versions.tf first."
  }
}

variable "standby_region" {
  description = "The other region."
  type        = string
  validation {
    condition     = var.standby_region != var.primary_region && var.standby_region != "us-east-2"
    error_message = "Another region than the primary, and than us-east-2, where the state lives."
  }
}

variable "objectives" {
  description = "What is promised, in seconds."
  type        = object({ rto_seconds = number, rpo_seconds = number })
}

variable "networks" {
  description = "What is there already in each region."
  type = object({
    primary = object({
      subnet_ids         = list(string)
      security_group_ids = list(string)
      database           = object({ subnet_group = string, security_group_ids = list(string) })
      load_balancer      = object({ name = string, zone = string })
    })
    standby = object({
      subnet_ids         = list(string)
      security_group_ids = list(string)
      database           = object({ subnet_group = string, security_group_ids = list(string) })
      load_balancer      = object({ name = string, zone = string })
    })
  })
}

variable "database" {
  description = "Class and number of the Aurora instances."
  type        = object({ instance_class = string, instances = object({ primary = number, standby = number }) })
}

variable "master_password" {
  description = "Password of the database's administrator: by TF_VAR_master_password, never in a file."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "master_password_version" {
  description = "Raise it to have the password set anew."
  type        = number
  default     = 1
}

variable "zone_id" {
  description = "Id of the hosted zone."
  type        = string
}

variable "domain" {
  description = "The name users ask for."
  type        = string
}

variable "bucket_suffix" {
  description = "Makes the names of the buckets unique in the world."
  type        = string
}

variable "repositories" {
  description = "Repositories whose images are copied to the other region."
  type        = set(string)
}

variable "services" {
  description = "By name: tasks where the users are and where they are not, the image in each region's own registry, and in each region the target group (type `ip`) of your load balancer that its tasks join. A service that only others of these call needs none."
  type = map(object({
    active        = number
    standby       = number
    images        = object({ primary = string, standby = string })
    target_groups = optional(object({ primary = string, standby = string }))
  }))
  validation {
    condition     = alltrue([for s in values(var.services) : s.standby <= s.active])
    error_message = "No more tasks in the standby than in the active region."
  }
  validation {
    condition = alltrue([
      for s in values(var.services) : s.target_groups == null ? true :
      try(split(":", s.target_groups.primary)[3], "") == var.primary_region && try(split(":", s.target_groups.standby)[3], "") == var.standby_region
    ])
    error_message = "The ARN of a target group in each region: a service that joins none there gets no users when they come."
  }
}

variable "execution_role_arn" {
  description = "Role that pulls images and writes logs."
  type        = string
}

variable "backup_schedule" {
  description = "When backups are made (cron, UTC)."
  type        = string
  default     = "cron(0 2 * * ? *)"
}

variable "mail" {
  description = "Addresses that alarms tell."
  type        = set(string)
  default     = []
}

variable "controller_arns" {
  description = "Who may act as Pilotlight."
  type        = list(string)
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

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
      subnet_ids    = list(string)
      database      = object({ subnet_group = string, security_group_ids = list(string) })
      cache         = object({ subnet_group = string, security_group_ids = list(string) })
      load_balancer = object({ name = string, zone = string })
    })
    standby = object({
      subnet_ids    = list(string)
      database      = object({ subnet_group = string, security_group_ids = list(string) })
      cache         = object({ subnet_group = string, security_group_ids = list(string) })
      load_balancer = object({ name = string, zone = string })
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

variable "primary_nodes" {
  description = "The node group of the primary region's cluster, which is yours: how many nodes serve, and how many it may grow to. The standby grows to the same."
  type        = object({ cluster = string, node_group = string, active = number, max = number })
  validation {
    condition     = var.primary_nodes.active >= var.nodes.desired && var.primary_nodes.max >= var.primary_nodes.active
    error_message = "At least as many as the standby keeps, and at most `max`."
  }
}

variable "nodes" {
  description = "What the standby node group begins with."
  type        = object({ min = number, max = number, desired = number })
  default     = { min = 1, max = 3, desired = 1 }
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

variable "name" {
  description = "Name of the application."
  type        = string
}

variable "primary_region" {
  description = "The region the service belongs to."
  type        = string
  validation {
    condition     = var.primary_region != "eu-central-1"
    error_message = "The state lives in eu-central-1: take another bucket in versions.tf first."
  }
}

variable "standby_region" {
  description = "The other region."
  type        = string
  validation {
    condition     = var.standby_region != var.primary_region && var.standby_region != "eu-central-1"
    error_message = "Another region than the primary, and than eu-central-1, where the state lives."
  }
}

variable "objectives" {
  description = "What is promised, in seconds."
  type        = object({ rto_seconds = number, rpo_seconds = number })
}

variable "shares" {
  description = "Per cent of the users that each region takes when nothing is wrong."
  type        = object({ primary = number, standby = number })
  default     = { primary = 50, standby = 50 }
  validation {
    condition     = var.shares.primary >= 1 && var.shares.standby >= 0 && var.shares.primary + var.shares.standby == 100
    error_message = "Shares that add up to 100, with some for the region the service belongs to."
  }
}

variable "networks" {
  description = "What is there already in each region."
  type = object({
    primary = object({
      subnet_ids         = list(string)
      security_group_ids = list(string)
      database           = object({ subnet_group = string, security_group_ids = list(string) })
      load_balancer_arn  = string
      target_group_arns  = list(string)
    })
    standby = object({
      subnet_ids         = list(string)
      security_group_ids = list(string)
      database           = object({ subnet_group = string, security_group_ids = list(string) })
      load_balancer_arn  = string
      target_group_arns  = list(string)
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

variable "bucket_suffix" {
  description = "Makes the names of the buckets unique in the world."
  type        = string
}

variable "group" {
  description = "Type and sizes of the Auto Scaling groups: while users are there, and while they are not."
  type = object({
    instance_type = string
    active        = object({ min = number, max = number, desired = number })
    standby       = object({ min = number, max = number, desired = number })
  })
}

variable "machine_images" {
  description = "The machine image of each region."
  type        = object({ primary = string, standby = string })
}

variable "log_bucket" {
  description = "Bucket of the flow logs, in neither region."
  type        = string
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

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
  description = "The region of the pilot light."
  type        = string
  validation {
    condition     = var.standby_region != var.primary_region
    error_message = "Two different regions."
  }
  validation {
    condition     = var.standby_region != "us-east-2"
    error_message = "The state lives in us-east-2: take another bucket in versions.tf first."
  }
}

variable "objectives" {
  description = "What is promised, in seconds."
  type        = object({ rto_seconds = number, rpo_seconds = number })
}

variable "scaling" {
  description = "Tasks where the users are, and where they are not. 0 keeps nothing warm: the first task is started in an outage."
  type        = object({ active = number, standby = number })
  validation {
    condition     = var.scaling.active >= 1 && var.scaling.standby >= 0 && var.scaling.standby <= var.scaling.active
    error_message = "active at least 1, standby from 0 to active."
  }
}

variable "test" {
  description = "The monthly test: when it begins (cron, UTC) and after how many minutes the service goes home."
  type        = object({ schedule = string, minutes = number })
  default     = { schedule = "cron(5 0 ? * MON#1 *)", minutes = 60 }
  validation {
    condition     = var.test.minutes >= 10 && var.test.minutes <= 1440
    error_message = "10 minutes to a day."
  }
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
  description = "Makes the name of the switch's bucket unique in the world."
  type        = string
}

variable "networks" {
  description = "What is there already in each region."
  type = object({
    primary = object({
      subnet_ids            = list(string)
      security_group_ids    = list(string)
      db_subnet_group       = string
      db_security_group_ids = list(string)
      db_closed_group_ids   = optional(list(string), [])
      load_balancer         = string
      target_group_arn      = optional(string)
    })
    standby = object({
      subnet_ids            = list(string)
      security_group_ids    = list(string)
      db_subnet_group       = string
      db_security_group_ids = list(string)
      db_closed_group_ids   = optional(list(string), [])
      load_balancer         = string
      target_group_arn      = optional(string)
    })
  })
}

variable "images" {
  description = "The image in each region's own registry, by digest."
  type        = object({ primary = string, standby = string })
}

variable "execution_role_arn" {
  description = "Role that pulls images and writes logs."
  type        = string
}

variable "database" {
  description = "Class and first storage of both instances."
  type        = object({ instance_class = string, storage_gib = number })
  default     = { instance_class = "db.r6g.large", storage_gib = 100 }
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

variable "mail" {
  description = "Addresses that alarms tell."
  type        = set(string)
  default     = []
}

variable "controller_arns" {
  description = "Who may act as Pilotlight."
  type        = list(string)
}

variable "function" {
  description = "Pilotlight as a function in the standby region: its package, and the bucket of its journal in a region that is neither. With `drill` it runs the monthly test by itself. Without it a machine runs it."
  type = object({
    package      = string
    package_hash = string
    drill        = optional(bool, false)
    store        = object({ bucket = string, prefix = string, kms_key_arn = optional(string) })
  })
  default = null
}

variable "function_environment" {
  description = "Variables that its plan takes secrets from, PILOTLIGHT_TOKEN for one: by TF_VAR_function_environment, never in a file."
  type        = map(string)
  default     = {}
  sensitive   = true
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

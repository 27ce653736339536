variable "name" {
  description = "Name of the application; identifiers are made of it and the region."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "engine_version" {
  description = "Version of PostgreSQL, at least its major number."
  type        = string
  default     = "16.8"
}

variable "database" {
  description = "Name of the first database."
  type        = string
  default     = "app"
}

variable "master_username" {
  description = "The administrator of the database."
  type        = string
  default     = "root_user"
}

variable "master_password" {
  description = "Its password: never stored by Terraform. Give it by TF_VAR_master_password."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "master_password_version" {
  description = "Raise it to have the password set anew."
  type        = number
  default     = 1
}

variable "instance_class" {
  description = "Class of the writer."
  type        = string
  default     = "db.r6g.large"
}

variable "standby_instance_class" {
  description = "Class of the replica. Smaller than the writer's means slower after a failover, until it is changed by hand."
  type        = string
  default     = "db.r6g.large"
}

variable "storage_gib" {
  description = "First size of the storage in GiB; it grows to four times as much by itself."
  type        = number
  default     = 100
  validation {
    condition     = var.storage_gib >= 20
    error_message = "At least 20 GiB."
  }
}

variable "backup_days" {
  description = "How long automated backups are kept in each region, in days."
  type        = object({ primary = number, standby = number })
  default     = { primary = 30, standby = 14 }
  validation {
    condition     = alltrue([for days in values(var.backup_days) : days >= 1 && days <= 35])
    error_message = "1 to 35 days; 0 would mean no backups, and a replica that is promoted slowly."
  }
}

variable "kms_key_arns" {
  description = "A key in each region, `primary` and `standby`, for data, snapshots and insights."
  type        = object({ primary = string, standby = string })
  validation {
    condition     = var.kms_key_arns.primary != var.kms_key_arns.standby
    error_message = "Two keys: one region's key is not to be had when that region is lost."
  }
}

variable "networks" {
  description = "Subnet group and security groups in each region; closed ones let nobody in, for planned moves. The subnets span at least two zones."
  type = object({
    primary = object({ subnet_group = string, security_group_ids = list(string), closed_group_ids = optional(list(string), []) })
    standby = object({ subnet_group = string, security_group_ids = list(string), closed_group_ids = optional(list(string), []) })
  })
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}


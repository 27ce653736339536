variable "name" {
  description = "Name of the application; what is made is called after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "regions" {
  description = "By region: the load balancer, and the dial it begins with, 0 to 100."
  type        = map(object({ load_balancer_arn = string, dial = number }))
  validation {
    condition     = length(var.regions) >= 2 && alltrue([for r in values(var.regions) : r.dial >= 0 && r.dial <= 100])
    error_message = "At least two regions, dials from 0 to 100."
  }
}

variable "port" {
  description = "The port of users and of the health check."
  type        = number
  default     = 443
}

variable "check_path" {
  description = "The path that is asked for."
  type        = string
  default     = "/health"
}

variable "client_affinity" {
  description = "`SOURCE_IP` keeps a user in one region; `NONE` spreads each connection."
  type        = string
  default     = "SOURCE_IP"
  validation {
    condition     = contains(["NONE", "SOURCE_IP"], var.client_affinity)
    error_message = "NONE or SOURCE_IP."
  }
}

variable "log_bucket" {
  description = "Bucket of the flow logs."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}


variable "zone_id" {
  description = "Id of the hosted zone."
  type        = string
}

variable "name" {
  description = "The name users ask for."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]+$", var.name))
    error_message = "A domain name in lower case without a dot at its end."
  }
}

variable "type" {
  description = "Type of the record."
  type        = string
  default     = "A"
  validation {
    condition     = contains(["A", "AAAA", "CNAME"], var.type)
    error_message = "A, AAAA or CNAME."
  }
}

variable "policy" {
  description = "How Route 53 chooses: `weighted` by the weights that Pilotlight sets, `failover` by health checks."
  type        = string
  default     = "weighted"
  validation {
    condition     = contains(["weighted", "failover"], var.policy)
    error_message = "weighted or failover."
  }
}

variable "answer_by_health" {
  description = "With `weighted`: Route 53 also leaves out regions whose check fails, whether another one's writer writes or not."
  type        = bool
  default     = false
}

variable "home" {
  description = "The region that serves when nothing is wrong."
  type        = string
}

variable "answers" {
  description = "By region: what to answer, a value or an alias, and the host whose health is checked."
  type = map(object({
    check_host = string
    value      = optional(string)
    alias      = optional(object({ name = string, zone = string }))
  }))
  validation {
    condition     = length(var.answers) >= 2
    error_message = "At least two regions."
  }
  validation {
    condition     = alltrue([for a in values(var.answers) : (a.value == null) != (a.alias == null)])
    error_message = "Each region has either `value` or `alias`."
  }
}

variable "switch" {
  description = "An object that moves users, with `failover` and two regions: `place` of the module route53-switch, made in the region that is not home."
  type        = object({ bucket = string, object = string, host = string })
  default     = null
  validation {
    condition     = var.switch == null || (var.policy == "failover" && length(var.answers) == 2)
    error_message = "A switch needs `policy = \"failover\"` and two regions."
  }
  validation {
    condition = var.switch == null ? true : anytrue([
      for region in keys(var.answers) : startswith(var.switch.host, "${var.switch.bucket}.s3.${region}.") && region != var.home
    ])
    error_message = "The bucket of the switch is in the region that is not home: in home it would be lost with what it leads away from."
  }
}

variable "ttl" {
  description = "How many seconds resolvers keep an answer. It adds to every RTO; an alias has its target's."
  type        = number
  default     = 60
  validation {
    condition     = var.ttl >= 1 && var.ttl <= 86400
    error_message = "1 to 86400 seconds."
  }
}

variable "check_path" {
  description = "The path that is asked for."
  type        = string
  default     = "/health"
}

variable "check_interval" {
  description = "Seconds between two checks of one checker: 10 or 30."
  type        = number
  default     = 30
  validation {
    condition     = contains([10, 30], var.check_interval)
    error_message = "Route 53 knows 10 and 30."
  }
}

variable "check_failures" {
  description = "Failures in a row after which a checker says unhealthy."
  type        = number
  default     = 3
  validation {
    condition     = var.check_failures >= 1 && var.check_failures <= 10
    error_message = "1 to 10."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

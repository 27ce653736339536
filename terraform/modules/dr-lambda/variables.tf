variable "name" {
  description = "Name of the application; what is made is called after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case letters, digits and dashes, 2 to 31 of them, a letter first."
  }
}

variable "package" {
  description = "The zip with `bootstrap` and the plan (docs/lambda.md)."
  type        = string
}

variable "package_hash" {
  description = "Its hash, `filebase64sha256(...)`: a change of it deploys anew."
  type        = string
}

variable "architecture" {
  description = "What the program was built for."
  type        = string
  default     = "x86_64"
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "x86_64 or arm64."
  }
}

variable "memory_mib" {
  description = "Memory; the processor grows with it."
  type        = number
  default     = 512
  validation {
    condition     = var.memory_mib >= 256 && var.memory_mib <= 10240
    error_message = "256 to 10240: below 256 its answers to the lead come late."
  }
}

variable "timeout_seconds" {
  description = "How long an invocation may last. What is not done then goes on in the next."
  type        = number
  default     = 900
  validation {
    condition     = var.timeout_seconds >= 120 && var.timeout_seconds <= 900
    error_message = "120 to 900 seconds: a controller that has just begun waits out a lease before it judges."
  }
}

variable "environment" {
  description = "Variables that the plan takes secrets from, PILOTLIGHT_TOKEN for one; encrypted with the key. Give them by TF_VAR_environment."
  type        = map(string)
  sensitive   = true
}

variable "kms_key_arn" {
  description = "Key of log, queue, environment and, where it is made here, bucket. Its policy lets logs.REGION.amazonaws.com use it."
  type        = string
}

variable "store" {
  description = "The bucket of the journal, in a region that the plan does not lose; `create` makes it here. `kms_key_arn`: the key of one that is there."
  type = object({
    bucket      = string
    prefix      = string
    create      = optional(bool, false)
    kms_key_arn = optional(string)
  })
  validation {
    condition     = !startswith(var.store.prefix, "/") && !endswith(var.store.prefix, "/") && length(var.store.prefix) > 0
    error_message = "As in the plan: `pilotlight/NAME`, without a slash at either end."
  }
}

variable "alarm_topics" {
  description = "Topics that alarms of the plan tell, and no others, by a name of yours. All in the region of the provider `aws.alarms`, which may be another than the function's."
  type        = map(string)
  default     = {}
  validation {
    condition     = length(setintersection(values(var.alarm_topics), var.people_topics)) == 0
    error_message = "A topic of `people_topics` is told when the function fails: as a topic of alarms it would wake the function with what it does not know, which fails again."
  }
}

variable "people_topics" {
  description = "Topics that are told when the function fails, in its region."
  type        = list(string)
  default     = []
}

variable "schedules" {
  description = "What else wakes it, by name: a schedule (UTC) and an event, such as `{ action = \"watch\" }`."
  type        = map(object({ schedule = string, event = map(string) }))
  default     = {}
  validation {
    condition     = alltrue([for s in values(var.schedules) : can(s.event.action) && can(regex("^(rate|cron)\\(", s.schedule))])
    error_message = "`rate(...)` or `cron(...)`, and an event with an `action`."
  }
  validation {
    condition     = length(setintersection(keys(var.schedules), ["continue", "drill"])) == 0
    error_message = "`continue` is made anyway, each minute; `drill` has a variable of its own."
  }
}

variable "drill" {
  description = "A drill by schedule (UTC): to which region, and how long it goes on from the end of the move until it is taken back. None by default: it moves the writer while nobody watches."
  type        = object({ schedule = string, to = string, lasts = optional(string, "1h"), unit = optional(string) })
  default     = null
  validation {
    condition     = var.drill == null || can(regex("^(rate|cron)\\(", var.drill.schedule))
    error_message = "`rate(...)` or `cron(...)`."
  }
  validation {
    condition     = var.drill == null || can(regex("^[1-9][0-9]*[smh]$", var.drill.lasts))
    error_message = "A number with s, m or h, such as `1h`."
  }
}

variable "assume_role_arns" {
  description = "Roles that the plan names under `aws.regions`: the one of modules/iam."
  type        = list(string)
  default     = []
  validation {
    condition     = !contains(var.assume_role_arns, "*")
    error_message = "Name them; `*` would be every role that trusts this one."
  }
}

variable "log_days" {
  description = "How long its log is kept."
  type        = number
  default     = 365
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

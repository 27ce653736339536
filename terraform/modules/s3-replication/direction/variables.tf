variable "name" {
  description = "Name of the role."
  type        = string
}

variable "enabled" {
  description = "Whether the rule copies at first. Afterwards that is Pilotlight's."
  type        = bool
}

variable "source_bucket" {
  description = "Where objects are read."
  type        = object({ id = string, arn = string, kms_key_arn = string })
}

variable "target_bucket" {
  description = "Where they are written."
  type        = object({ arn = string, kms_key_arn = string })
}

variable "bucket_versions" {
  description = "The versioning of both buckets: replication is refused before both keep versions."
  type        = list(string)
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
}

variable "name" {
  description = "Beginning of the role's name."
  type        = string
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
}

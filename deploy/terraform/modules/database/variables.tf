variable "name" {
  description = "What the names of everything begin with."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in two zones or more."
  type        = list(string)
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by a name for each."
  type        = map(string)
}

variable "engine_version" {
  description = "Version of Aurora PostgreSQL: 15 or later."
  type        = string
  default     = "16.6"

  validation {
    condition     = tonumber(split(".", var.engine_version)[0]) >= 15
    error_message = "Rastro needs PostgreSQL 15 or later."
  }
}

variable "instances" {
  description = "Servers: the writer, and readers that take over from it and that queries read from."
  type        = number
  default     = 2
}

variable "min_capacity" {
  description = "Least capacity of a server, in Aurora capacity units of 2 GiB of memory."
  type        = number
  default     = 1
}

variable "max_capacity" {
  description = "Most capacity of a server, in Aurora capacity units."
  type        = number
  default     = 16
}

variable "backup_retention_days" {
  description = "How far back the database can be restored to any second, in days: 1 to 35."
  type        = number
  default     = 14
}

variable "kms_key_arn" {
  description = "Key that storage, backups and the master user's secret are encrypted with; AWS's own when null."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether the database refuses to be deleted, and leaves a snapshot when it is."
  type        = bool
  default     = true
}

variable "proxy" {
  description = "Whether an RDS Proxy stands before the database: for many tasks with few connections each. It needs a user with a password, in a secret."
  type = object({
    enabled    = bool
    secret_arn = optional(string)
  })
  default = { enabled = false }

  validation {
    condition     = !var.proxy.enabled || var.proxy.secret_arn != null
    error_message = "A proxy needs the secret of the database's user: {username, password}."
  }
}

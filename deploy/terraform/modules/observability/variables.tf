variable "name" {
  description = "What the names of everything begin with, and the namespace of the metrics that the collectors write."
  type        = string
}

variable "roles" {
  description = "The roles."
  type        = set(string)
  default     = ["ingest", "query", "processor", "dashboard"]
}

variable "log_retention_days" {
  description = "How long logs are kept, in days."
  type        = number
  default     = 30
}

variable "kms_key_arn" {
  description = "Key that logs and alarms are encrypted with; AWS's own when null."
  type        = string
  default     = null
}

variable "queue_names" {
  description = "Queues to watch for lag."
  type        = set(string)
}

variable "dead_letter_queue_names" {
  description = "Queues that should be empty."
  type        = set(string)
}

variable "load_balancer_arn_suffix" {
  description = "The load balancer: output of the module services."
  type        = string
}

variable "target_group_arn_suffixes" {
  description = "Target groups by role: output of the module services."
  type        = map(string)
}

variable "cluster_identifier" {
  description = "The database: output of the module database."
  type        = string
}

variable "max_capacity" {
  description = "Most capacity of a database server, in Aurora capacity units."
  type        = number
}

variable "lag_seconds" {
  description = "How long a message may wait before somebody is told, in seconds."
  type        = number
  default     = 300
}

variable "error_ratio" {
  description = "Which part of requests may be answered with 5xx before somebody is told."
  type        = number
  default     = 0.01
}

variable "emails" {
  description = "Who is told. Each has to confirm once."
  type        = set(string)
  default     = []
}

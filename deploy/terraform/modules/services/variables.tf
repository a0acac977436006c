variable "name" {
  description = "What the names of everything begin with."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer."
  type        = list(string)
}

variable "private_subnet_ids" {
  description = "Subnets of the tasks."
  type        = list(string)
}

variable "load_balancer_cidrs" {
  description = "Who may reach the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "certificate_arn" {
  description = "Certificate of the load balancer, from ACM."
  type        = string
}

variable "environment_name" {
  description = "What this rastro is called, such as production or staging; the dashboard shows it: RASTRO_ENVIRONMENT."
  type        = string
  default     = "production"
}

variable "public_url" {
  description = "URL that browsers reach the dashboard at."
  type        = string
}

variable "image" {
  description = "Image of the roles ingest, query and processor, by digest or by a tag that never moves."
  type        = string
}

variable "dashboard_image" {
  description = "Image of the role dashboard."
  type        = string
}

variable "collector_image" {
  description = "Image of the collector beside each task, which takes traces to X-Ray and some metrics to CloudWatch."
  type        = string
  default     = "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.1"
}

variable "architecture" {
  description = "ARM64 or X86_64, as the images are."
  type        = string
  default     = "ARM64"
}

variable "database" {
  description = "Where the database is, and what IAM calls it: outputs of the module database."
  type = object({
    endpoint          = string
    reader_endpoint   = optional(string)
    resource_id       = string
    security_group_id = string
    user              = optional(string, "rastro")
    name              = optional(string, "rastro")
  })
}

variable "sqs_prefix" {
  description = "What the names of queues begin with: RASTRO_SQS_PREFIX."
  type        = string
  default     = "rastro"
}

variable "queue_arns" {
  description = "The queues, by name: output of the module messaging."
  type        = map(string)
}

variable "dead_letter_queue_arns" {
  description = "The dead-letter queues: output of the module messaging."
  type        = map(string)
}

variable "sns_topic_arns" {
  description = "The SNS topics: output of the module messaging."
  type        = map(string)
}

variable "entry" {
  description = "Where ingest writes to: output of the module messaging."
  type = object({
    queue_arns = list(string)
    sns_arns   = list(string)
  })
}

variable "messaging_kms_key_arn" {
  description = "Key that queues and topics are encrypted with, if it is one's own."
  type        = string
  default     = null
}

variable "oidc_issuer" {
  description = "OpenID Connect issuer: RASTRO_OIDC_ISSUER."
  type        = string
}

variable "log_group_names" {
  description = "Log groups by role, and one for migrate: output of the module observability."
  type        = map(string)
}

variable "environment" {
  description = "Further environment variables of every role, such as RASTRO_RETENTION_DAYS."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : !can(regex("KEY|SECRET|PASSWORD", name))])
    error_message = "What is secret does not belong here: it would be in the state. Put it into the secret of the services."
  }
}

variable "secret_keys" {
  description = "Keys of the secret of the services (JSON) that are used, beside session_key: credentials_key, personal_key, oidc_client_secret."
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that the secret is encrypted with; Secrets Manager's own when null."
  type        = string
  default     = null
}

variable "trace_sample_ratio" {
  description = "Which part of requests is traced, 0 to 1; what a caller traces is traced in any case."
  type        = number
  default     = 0.1
}

variable "access_logs_bucket" {
  description = "Bucket for the load balancer's access logs; none when null."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted."
  type        = bool
  default     = true
}

variable "roles" {
  description = "Sizes: CPU units and MiB of a task, how many tasks at least and at most, and the CPU that more are started at, in percent."
  type = map(object({
    cpu     = number
    memory  = number
    min     = number
    max     = number
    cpu_pct = number
  }))
  default = {
    ingest    = { cpu = 512, memory = 1024, min = 2, max = 10, cpu_pct = 60 }
    query     = { cpu = 512, memory = 1024, min = 2, max = 10, cpu_pct = 60 }
    processor = { cpu = 1024, memory = 2048, min = 2, max = 20, cpu_pct = 70 }
    dashboard = { cpu = 256, memory = 512, min = 2, max = 4, cpu_pct = 70 }
  }

  validation {
    condition     = toset(keys(var.roles)) == toset(["ingest", "query", "processor", "dashboard"])
    error_message = "The roles are ingest, query, processor and dashboard."
  }
}

variable "backlog_per_task" {
  description = "Messages that one processor may have waiting for it over all queues. A message is a frame of many events."
  type        = number
  default     = 50
}

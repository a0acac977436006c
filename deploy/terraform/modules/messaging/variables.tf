variable "topics" {
  description = "The topics that the pipelines need, as `rastro pipeline topics --format tfvars` prints them. Never written by hand."
  type = map(object({
    sns_topic = optional(string)
    readers = map(object({
      dead_letters      = optional(string)
      queue             = string
      dead_letter_queue = string
    }))
  }))
}

variable "visibility_timeout_seconds" {
  description = "How long after a crash a message is delivered again, in seconds: RASTRO_SQS_VISIBILITY_TIMEOUT."
  type        = number
  default     = 30
}

variable "max_message_bytes" {
  description = "Largest message, in bytes: RASTRO_SQS_MAX_MESSAGE_BYTES."
  type        = number
  default     = 262144
}

variable "max_receives" {
  description = "How often a message is received before it goes to its dead-letter queue: RASTRO_SQS_MAX_RECEIVES."
  type        = number
  default     = 50
}

variable "kms_key_arn" {
  description = "Key that queues and topics are encrypted with; SQS's own when null. The services' roles must be allowed to use it."
  type        = string
  default     = null
}

variable "prefix" {
  description = "What the names of queues begin with: RASTRO_SQS_PREFIX. Queues are tagged with it, so that `rastro pipeline tidy` knows its own."
  type        = string
  default     = "rastro"
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-west-1"
}

variable "availability_zones" {
  description = "Its zones that are used."
  type        = list(string)
  default     = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
}

variable "name" {
  description = "What the names of everything begin with."
  type        = string
  default     = "rastro"
}

variable "rastro_topics" {
  description = "The topics that the pipelines need: `rastro pipeline topics --format tfvars > topics.auto.tfvars`."
  type = map(object({
    sns_topic = optional(string)
    readers = map(object({
      dead_letters      = optional(string)
      queue             = string
      dead_letter_queue = string
    }))
  }))
}

variable "image" {
  description = "Image of the roles ingest, query and processor, such as ghcr.io/rastrohq/rastro@sha256:..."
  type        = string
}

variable "dashboard_image" {
  description = "Image of the role dashboard."
  type        = string
}

variable "domain" {
  description = "Name that people and carriers use, such as rastro.example.com."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate for that name, from ACM."
  type        = string
}

variable "oidc_issuer" {
  description = "OpenID Connect issuer, such as https://keycloak.example.com/realms/rastro."
  type        = string
}

variable "alarm_emails" {
  description = "Who is told of alarms."
  type        = set(string)
  default     = []
}

variable "database_min_capacity" {
  description = "Least capacity of a database server, in Aurora capacity units of 2 GiB of memory."
  type        = number
  default     = 1
}

variable "database_max_capacity" {
  description = "Most capacity of a database server."
  type        = number
  default     = 16
}

variable "environment" {
  description = "Further environment variables of every role."
  type        = map(string)
  default     = {}
}

variable "secret_keys" {
  description = "Keys of the services' secret that are used beside session_key: credentials_key, personal_key, oidc_client_secret."
  type        = set(string)
  default     = ["credentials_key"]
}

variable "deletion_protection" {
  description = "Whether the database and the load balancer refuse to be deleted."
  type        = bool
  default     = true
}

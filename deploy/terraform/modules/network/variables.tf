variable "name" {
  description = "What the names of everything begin with."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network, a /16 to /20."
  type        = string
  default     = "10.40.0.0/16"
}

variable "availability_zones" {
  description = "Availability zones, two or more."
  type        = list(string)

  validation {
    condition     = length(var.availability_zones) >= 2
    error_message = "Give it two availability zones or more: a load balancer and Aurora need them."
  }
}

variable "nat_gateway_per_zone" {
  description = "One NAT gateway a zone, so that the loss of a zone takes none of the others' ways out. One for all is cheaper."
  type        = bool
  default     = true
}

variable "flow_log_retention_days" {
  description = "How long the network's flow logs are kept, in days."
  type        = number
  default     = 90
}

variable "kms_key_arn" {
  description = "Key that the flow logs are encrypted with; CloudWatch's own when null."
  type        = string
  default     = null
}

output "load_balancer_dns_name" {
  description = "Have the name of the domain lead here."
  value       = module.services.load_balancer_dns_name
}

output "secret_arn" {
  description = "Put the services' keys here before they start."
  value       = module.services.secret_arn
}

output "master_secret_arn" {
  description = "The database's master user, who prepares it once."
  value       = module.database.master_secret_arn
}

output "database_endpoint" {
  description = "The database."
  value       = module.database.endpoint
}

output "migrate_command" {
  description = "Run this before the services of a new version."
  value       = module.services.migrate_command
}

output "endpoint" {
  description = "Where rastro connects: the proxy, or the writer."
  value       = var.proxy.enabled ? aws_db_proxy.this[0].endpoint : aws_rds_cluster.this.endpoint
}

output "reader_endpoint" {
  description = "Where queries read from; null with one server."
  value       = var.instances > 1 ? aws_rds_cluster.this.reader_endpoint : null
}

output "cluster_identifier" {
  description = "The cluster, for alarms."
  value       = aws_rds_cluster.this.cluster_identifier
}

output "resource_id" {
  description = "What IAM calls the cluster, in rds-db:connect."
  value       = var.proxy.enabled ? element(split(":", aws_db_proxy.this[0].arn), 6) : aws_rds_cluster.this.cluster_resource_id
}

output "security_group_id" {
  description = "The security group of the servers and of the proxy."
  value       = aws_security_group.this.id
}

output "master_secret_arn" {
  description = "The secret of the master user, who prepares the database once: see docs/database.md."
  value       = aws_rds_cluster.this.master_user_secret[0].secret_arn
}

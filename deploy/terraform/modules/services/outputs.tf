output "security_group_id" {
  description = "Security group of the tasks, which the database lets in."
  value       = aws_security_group.tasks.id
}

output "load_balancer_dns_name" {
  description = "Where the name of public_url leads to."
  value       = aws_lb.this.dns_name
}

output "load_balancer_zone_id" {
  description = "Zone of that name, for an alias record."
  value       = aws_lb.this.zone_id
}

output "load_balancer_arn_suffix" {
  description = "The load balancer, for alarms."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn_suffixes" {
  description = "Target groups by role, for alarms."
  value       = { for role, group in aws_lb_target_group.role : role => group.arn_suffix }
}

output "cluster_name" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "secret_arn" {
  description = "The secret whose value somebody has to put there: JSON with session_key and what secret_keys names."
  value       = aws_secretsmanager_secret.this.arn
}

output "migrate_command" {
  description = "Run this before the services of a new version: it brings the database's schema up to date."
  value = join(" ", [
    "aws ecs run-task --cluster ${aws_ecs_cluster.this.name} --launch-type FARGATE --task-definition ${aws_ecs_task_definition.migrate.family}",
    "--network-configuration 'awsvpcConfiguration={subnets=[${join(",", var.private_subnet_ids)}],securityGroups=[${aws_security_group.tasks.id}]}'",
  ])
}

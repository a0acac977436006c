output "log_group_names" {
  description = "Log groups by role, and that of migrate."
  value       = { for role, group in aws_cloudwatch_log_group.role : role => group.name }
}

output "alarms_topic_arn" {
  description = "SNS topic of the alarms, for pagers."
  value       = aws_sns_topic.alarms.arn
}

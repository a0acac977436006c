output "queue_arns" {
  description = "The queues, by name."
  value       = { for name, queue in aws_sqs_queue.this : name => queue.arn }
}

output "dead_letter_queue_arns" {
  description = "The dead-letter queues, by the name of the queue whose they are."
  value       = { for name, queue in aws_sqs_queue.dead_letters : name => queue.arn }
}

output "sns_topic_arns" {
  description = "The SNS topics, by name."
  value       = { for name, topic in aws_sns_topic.this : name => topic.arn }
}

output "entry" {
  description = "Where ingest writes to: the queues and SNS topics of events.ingested."
  value = {
    queue_arns = [for name, r in local.readers : aws_sqs_queue.this[name].arn if r.topic == "events.ingested"]
    sns_arns   = [for name, topic in local.sns_topics : aws_sns_topic.this[name].arn if topic == "events.ingested"]
  }
}

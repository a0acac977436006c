mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:a-queue", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/a-queue" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:a-topic" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  topics = {
    "events.ingested" = {
      readers = { tracking = { dead_letters = "tracking.dead_letters", queue = "in-FOR-tracking", dead_letter_queue = "in-FOR-tracking-DLQ" } }
    }
    "events.persisted" = {
      sns_topic = "persisted"
      readers = {
        audit  = { queue = "persisted-FOR-audit", dead_letter_queue = "persisted-FOR-audit-DLQ" }
        alerts = { queue = "persisted-FOR-alerts", dead_letter_queue = "persisted-FOR-alerts-DLQ" }
      }
    }
    "nobody.reads" = { readers = {} }
  }
}

run "a_queue_and_a_dead_letter_queue_for_each_reader" {
  command = plan

  assert {
    condition     = toset(keys(aws_sqs_queue.this)) == toset(["in-FOR-tracking", "persisted-FOR-audit", "persisted-FOR-alerts"])
    error_message = "There are other queues than readers."
  }
  assert {
    condition     = toset([for q in aws_sqs_queue.dead_letters : q.name]) == toset(["in-FOR-tracking-DLQ", "persisted-FOR-audit-DLQ", "persisted-FOR-alerts-DLQ"])
    error_message = "There are other dead-letter queues than readers."
  }
  assert {
    condition     = toset(keys(aws_sns_topic.this)) == toset(["persisted"]) && length(aws_sns_topic_subscription.this) == 2
    error_message = "A topic of several readers is fanned out by SNS to each of them, others are not."
  }
  assert {
    condition     = alltrue([for s in aws_sns_topic_subscription.this : s.raw_message_delivery])
    error_message = "SNS would wrap frames into JSON."
  }
  assert {
    condition     = alltrue([for q in concat(values(aws_sqs_queue.this), values(aws_sqs_queue.dead_letters)) : q.sqs_managed_sse_enabled])
    error_message = "A queue is not encrypted."
  }
  assert {
    condition     = alltrue([for q in aws_sqs_queue.dead_letters : q.message_retention_seconds > aws_sqs_queue.this["in-FOR-tracking"].message_retention_seconds])
    error_message = "The age of a message counts from when it was sent first: its dead-letter queue must keep it for longer."
  }
  assert {
    condition     = aws_sqs_queue.this["persisted-FOR-audit"].tags == tomap({ "rastro:prefix" = "rastro", "rastro:topic" = "events.persisted", "rastro:reader" = "audit" })
    error_message = "`rastro pipeline tidy` would not know the queue."
  }
}

run "dead_letters_go_where_they_belong" {
  command = apply

  override_resource {
    target = aws_sqs_queue.dead_letters["in-FOR-tracking"]
    values = { arn = "arn:aws:sqs:eu-west-1:123456789012:in-FOR-tracking-DLQ", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/in-FOR-tracking-DLQ" }
  }

  assert {
    condition = jsondecode(aws_sqs_queue.this["in-FOR-tracking"].redrive_policy) == {
      deadLetterTargetArn = "arn:aws:sqs:eu-west-1:123456789012:in-FOR-tracking-DLQ"
      maxReceiveCount     = 50
    }
    error_message = "Messages that are received too often do not go to the queue's own dead-letter queue."
  }
  assert {
    condition     = output.dead_letter_queue_arns["in-FOR-tracking"] == "arn:aws:sqs:eu-west-1:123456789012:in-FOR-tracking-DLQ"
    error_message = "The output names another dead-letter queue."
  }
  assert {
    condition     = length(output.entry.queue_arns) == 1 && length(output.entry.sns_arns) == 0
    error_message = "Ingest writes to other queues than that of events.ingested."
  }
}

run "only_sns_may_send_besides_the_roles_and_only_encrypted" {
  command = apply

  assert {
    condition     = [for s in data.aws_iam_policy_document.queue["persisted-FOR-audit"].statement : s.sid] == ["OnlyEncrypted", "FromItsTopic"]
    error_message = "The policy of a fanned out queue is another."
  }
  assert {
    condition     = [for s in data.aws_iam_policy_document.queue["in-FOR-tracking"].statement : s.sid] == ["OnlyEncrypted"]
    error_message = "A queue that no topic leads to lets one send."
  }
}

run "a_key_of_ones_own" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = alltrue([for q in concat(values(aws_sqs_queue.this), values(aws_sqs_queue.dead_letters)) : q.kms_master_key_id == var.kms_key_arn])
    error_message = "A queue is encrypted with another key."
  }
}

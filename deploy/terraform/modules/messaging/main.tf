# A queue with a dead-letter queue for each reader of a topic; an SNS topic before the queues where there are several.
locals {
  readers = merge([
    for topic, t in var.topics : {
      for reader, r in t.readers : r.queue => {
        topic             = topic
        reader            = reader
        sns_topic         = t.sns_topic
        dead_letter_queue = r.dead_letter_queue
      }
    }
  ]...)
  fanned_out = { for queue, r in local.readers : queue => r if r.sns_topic != null }
  sns_topics = { for topic, t in var.topics : t.sns_topic => topic if t.sns_topic != null }
}

resource "aws_sqs_queue" "dead_letters" {
  for_each                  = local.readers
  name                      = each.value.dead_letter_queue
  message_retention_seconds = 1209600
  max_message_size          = var.max_message_bytes
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = { "rastro:prefix" = var.prefix, "rastro:topic" = each.value.topic, "rastro:reader" = each.value.reader }
}

resource "aws_sqs_queue" "this" {
  for_each                   = local.readers
  name                       = each.key
  message_retention_seconds  = 604800
  visibility_timeout_seconds = var.visibility_timeout_seconds
  receive_wait_time_seconds  = 20
  max_message_size           = var.max_message_bytes
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters[each.key].arn
    maxReceiveCount     = var.max_receives
  })
  tags = { "rastro:prefix" = var.prefix, "rastro:topic" = each.value.topic, "rastro:reader" = each.value.reader }
}

resource "aws_sqs_queue_redrive_allow_policy" "this" {
  for_each  = local.readers
  queue_url = aws_sqs_queue.dead_letters[each.key].url
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this[each.key].arn]
  })
}

resource "aws_sns_topic" "this" {
  for_each          = local.sns_topics
  name              = each.key
  kms_master_key_id = var.kms_key_arn != null ? var.kms_key_arn : "alias/aws/sns"
  tags              = { "rastro:topic" = each.value }
}

resource "aws_sns_topic_subscription" "this" {
  for_each             = local.fanned_out
  topic_arn            = aws_sns_topic.this[each.value.sns_topic].arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.this[each.key].arn
  raw_message_delivery = true
}

data "aws_iam_policy_document" "queue" {
  for_each = local.readers

  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.this[each.key].arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = each.value.sns_topic == null ? [] : [each.value.sns_topic]
    content {
      sid       = "FromItsTopic"
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.this[each.key].arn]
      principals {
        type        = "Service"
        identifiers = ["sns.amazonaws.com"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [aws_sns_topic.this[statement.value].arn]
      }
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  for_each  = local.readers
  queue_url = aws_sqs_queue.this[each.key].url
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

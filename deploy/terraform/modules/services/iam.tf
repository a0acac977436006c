data "aws_iam_policy_document" "tasks_assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# What ECS does before a container starts: pull the image, read the secret, open the log.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks_assume.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "execution" {
  statement {
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.this.arn]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "secret"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "task" {
  for_each           = var.roles
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.tasks_assume.json
}

locals {
  # Every role looks whether everything is there when it starts.
  sends = {
    ingest    = { sqs = var.entry.queue_arns, sns = var.entry.sns_arns }
    query     = { sqs = values(var.queue_arns), sns = values(var.sns_topic_arns) } # dead letters that are sent again
    processor = { sqs = values(var.queue_arns), sns = values(var.sns_topic_arns) }
    dashboard = { sqs = [], sns = [] }
  }
}

data "aws_iam_policy_document" "task" {
  for_each = var.roles

  statement {
    sid       = "Look"
    actions   = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
    resources = local.all_sqs
  }

  dynamic "statement" {
    for_each = length(var.sns_topic_arns) > 0 ? ["sns"] : []
    content {
      sid       = "LookAtTopics"
      actions   = ["sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes"]
      resources = concat(values(var.sns_topic_arns), [for arn in values(var.sns_topic_arns) : "${arn}:*"])
    }
  }

  dynamic "statement" {
    for_each = length(local.sends[each.key].sqs) > 0 ? ["sqs"] : []
    content {
      sid       = "Send"
      actions   = ["sqs:SendMessage"]
      resources = local.sends[each.key].sqs
    }
  }

  dynamic "statement" {
    for_each = length(local.sends[each.key].sns) > 0 ? ["sns"] : []
    content {
      sid       = "Publish"
      actions   = ["sns:Publish"]
      resources = local.sends[each.key].sns
    }
  }

  dynamic "statement" {
    for_each = each.key == "processor" ? ["receive"] : []
    content {
      sid       = "Receive"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
      resources = local.all_sqs
    }
  }

  dynamic "statement" {
    for_each = var.messaging_kms_key_arn == null ? [] : [var.messaging_kms_key_arn]
    content {
      sid       = "MessagesKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }

  statement {
    sid     = "Database"
    actions = ["rds-db:connect"]
    resources = [join(":", [
      "arn", data.aws_partition.current.partition, "rds-db", data.aws_region.current.region, data.aws_caller_identity.current.account_id,
      "dbuser", "${var.database.resource_id}/${var.database.user}",
    ])]
  }

  # The collector: traces have no resources to name, and neither has a metric but its namespace.
  statement {
    sid       = "Traces"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }

  statement {
    sid       = "Metrics"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:log-group:/metrics/${var.name}*"]
  }
}

resource "aws_iam_role_policy" "task" {
  for_each = var.roles
  name     = "rastro"
  role     = aws_iam_role.task[each.key].id
  policy   = data.aws_iam_policy_document.task[each.key].json
}

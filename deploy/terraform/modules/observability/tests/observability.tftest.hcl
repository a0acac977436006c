mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:rastro-alarms" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name                      = "rastro"
  queue_names               = ["a", "b"]
  dead_letter_queue_names   = ["a-DLQ", "b-DLQ"]
  load_balancer_arn_suffix  = "app/rastro/1"
  target_group_arn_suffixes = { ingest = "targetgroup/rastro-ingest/1", query = "targetgroup/rastro-query/2", dashboard = "targetgroup/rastro-dashboard/3" }
  cluster_identifier        = "rastro"
  max_capacity              = 16
  emails                    = ["ops@example.com"]
}

run "an_alarm_on_each_queue_and_each_role" {
  command = apply

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.lag) == ["a", "b"] && keys(aws_cloudwatch_metric_alarm.dead_letters) == ["a-DLQ", "b-DLQ"]
    error_message = "A queue is not watched."
  }
  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.errors) == ["dashboard", "ingest", "query"] && keys(aws_cloudwatch_metric_alarm.unhealthy) == ["dashboard", "ingest", "query"]
    error_message = "A role is not watched."
  }
  assert {
    condition = alltrue([for a in concat(
      values(aws_cloudwatch_metric_alarm.lag), values(aws_cloudwatch_metric_alarm.dead_letters), values(aws_cloudwatch_metric_alarm.errors),
      values(aws_cloudwatch_metric_alarm.unhealthy), values(aws_cloudwatch_metric_alarm.balance), [aws_cloudwatch_metric_alarm.database],
    ) : a.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:rastro-alarms"]) && can(regex("docs/", a.alarm_description))])
    error_message = "An alarm tells nobody, or not what to do."
  }
  assert {
    condition     = toset(keys(output.log_group_names)) == toset(["ingest", "query", "processor", "dashboard", "migrate"]) && output.log_group_names["migrate"] == "/rastro/migrate"
    error_message = "A role has no log group."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.database.threshold == 14.4
    error_message = "Somebody is told of the database's capacity at another level than nine tenths."
  }
}

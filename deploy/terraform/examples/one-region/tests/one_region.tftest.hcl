# The whole of it, planned and applied, with the topics of topics.auto.tfvars.
mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/a-role" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:a-group" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:a-queue", url = "https://sqs.eu-west-1.amazonaws.com/123456789012/a-queue" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:a-topic" }
  }
  mock_resource "aws_rds_cluster" {
    defaults = {
      arn                = "arn:aws:rds:eu-west-1:123456789012:cluster:rastro"
      endpoint           = "writer.example.com"
      reader_endpoint    = "reader.example.com"
      master_user_secret = [{ kms_key_id = "", secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:master-abcdef", secret_status = "active" }]
    }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rastro/services-abcdef" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/rastro", id = "arn:aws:ecs:eu-west-1:123456789012:cluster/rastro" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/rastro:1" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/rastro/0123456789abcdef", dns_name = "rastro-1.eu-west-1.elb.amazonaws.com" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/rastro/0123456789abcdef" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/rastro/0123456789abcdef/0123456789abcdef" }
  }
}

variables {
  image           = "ghcr.io/rastrohq/rastro:1.0.0"
  dashboard_image = "ghcr.io/rastrohq/rastro-dashboard:1.0.0"
  domain          = "rastro.example.com"
  certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  oidc_issuer     = "https://keycloak.example.com/realms/rastro"
  alarm_emails    = ["ops@example.com"]
}

run "it_can_be_planned_from_nothing" {
  command = plan
}

run "it_tells_what_the_guide_needs" {
  command = apply

  assert {
    condition     = startswith(output.migrate_command, "aws ecs run-task --cluster rastro --launch-type FARGATE --task-definition rastro-migrate --network-configuration 'awsvpcConfiguration={subnets=[")
    error_message = "The command of the migration is another: ${output.migrate_command}"
  }
  assert {
    condition     = output.load_balancer_dns_name == "rastro-1.eu-west-1.elb.amazonaws.com" && output.database_endpoint == "writer.example.com"
    error_message = "The outputs are others."
  }
  assert {
    condition     = output.master_secret_arn != output.secret_arn
    error_message = "The master user's secret and that of the services are one."
  }
}

run "it_can_be_taken_down_where_that_is_wanted" {
  command = plan

  variables {
    deletion_protection = false
  }
}

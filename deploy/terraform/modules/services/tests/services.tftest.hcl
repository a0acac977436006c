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
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/rastro/0123456789abcdef" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/rastro/0123456789abcdef" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/rastro/0123456789abcdef/0123456789abcdef" }
  }
}

variables {
  name               = "rastro"
  vpc_id             = "vpc-1"
  public_subnet_ids  = ["subnet-1", "subnet-2"]
  private_subnet_ids = ["subnet-3", "subnet-4"]
  certificate_arn    = "arn:aws:acm:eu-west-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  public_url         = "https://rastro.example.com"
  image              = "ghcr.io/rastrohq/rastro:1.0.0"
  dashboard_image    = "ghcr.io/rastrohq/rastro-dashboard:1.0.0"
  oidc_issuer        = "https://keycloak.example.com/realms/rastro"
  database           = { endpoint = "writer.example.com", reader_endpoint = "reader.example.com", resource_id = "cluster-1", security_group_id = "sg-1" }
  queue_arns = {
    in      = "arn:aws:sqs:eu-west-1:123456789012:in"
    persist = "arn:aws:sqs:eu-west-1:123456789012:persist"
  }
  dead_letter_queue_arns = {
    in      = "arn:aws:sqs:eu-west-1:123456789012:in-DLQ"
    persist = "arn:aws:sqs:eu-west-1:123456789012:persist-DLQ"
  }
  sns_topic_arns  = { persisted = "arn:aws:sns:eu-west-1:123456789012:persisted" }
  entry           = { queue_arns = ["arn:aws:sqs:eu-west-1:123456789012:in"], sns_arns = [] }
  log_group_names = { ingest = "/rastro/ingest", query = "/rastro/query", processor = "/rastro/processor", dashboard = "/rastro/dashboard", migrate = "/rastro/migrate" }
  secret_keys     = ["credentials_key", "personal_key"]
}

run "each_role_may_do_what_it_does_and_nothing_else" {
  command = apply

  assert {
    condition = { for role, d in data.aws_iam_policy_document.task : role => flatten([for s in d.statement : tolist(s.resources) if contains(s.actions, "sqs:SendMessage")]) } == {
      ingest    = ["arn:aws:sqs:eu-west-1:123456789012:in"]
      query     = ["arn:aws:sqs:eu-west-1:123456789012:in", "arn:aws:sqs:eu-west-1:123456789012:persist"]
      processor = ["arn:aws:sqs:eu-west-1:123456789012:in", "arn:aws:sqs:eu-west-1:123456789012:persist"]
      dashboard = []
    }
    error_message = "A role may send to other queues than it does."
  }
  assert {
    condition     = [for role, d in data.aws_iam_policy_document.task : role if anytrue([for s in d.statement : contains(s.actions, "sqs:ReceiveMessage")])] == ["processor"]
    error_message = "Others than the processor may receive."
  }
  assert {
    condition     = [for role, d in data.aws_iam_policy_document.task : role if anytrue([for s in d.statement : contains(s.actions, "sns:Publish")])] == ["processor", "query"]
    error_message = "Others than the processor and query may publish."
  }
  assert {
    condition = alltrue(flatten([for d in data.aws_iam_policy_document.task : [for s in d.statement :
      !contains(s.resources, "*") || s.sid == "Traces" && alltrue([for a in s.actions : startswith(a, "xray:")])
    ]]))
    error_message = "A role may do more than trace with everything."
  }
  assert {
    condition     = alltrue(flatten([for d in data.aws_iam_policy_document.task : [for s in d.statement : [for a in s.actions : !endswith(a, "*")]]]))
    error_message = "A role has a whole service's actions."
  }
  assert {
    condition     = alltrue([for s in data.aws_iam_policy_document.execution.statement : s.resources == toset([aws_secretsmanager_secret.this.arn])])
    error_message = "ECS may read other secrets."
  }
}

run "tasks_are_nobody_and_know_no_secret_but_theirs" {
  command = apply

  assert {
    condition = alltrue([for t in concat(values(aws_ecs_task_definition.role), [aws_ecs_task_definition.migrate]) : alltrue([
      for c in jsondecode(t.container_definitions) : c.readonlyRootFilesystem && c.linuxParameters.capabilities.drop == ["ALL"] && (c.name == "collector" || try(c.user, "") == "65532:65532")
    ])])
    error_message = "A container is somebody, may write or keeps capabilities."
  }
  assert {
    condition = { for role, t in aws_ecs_task_definition.role : role => join(" ", sort([for s in jsondecode(t.container_definitions)[0].secrets : s.name])) } == {
      ingest    = "RASTRO_CREDENTIALS_KEY RASTRO_PERSONAL_KEY"
      query     = "RASTRO_PERSONAL_KEY RASTRO_SESSION_KEY"
      processor = "RASTRO_PERSONAL_KEY"
      dashboard = "RASTRO_PERSONAL_KEY RASTRO_SESSION_KEY"
    }
    error_message = "A role is given other secrets than it uses."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.role["query"].container_definitions)[0].secrets[1].valueFrom == "${aws_secretsmanager_secret.this.arn}:session_key::"
    error_message = "A secret is not taken by its key."
  }
  assert {
    condition = { for e in jsondecode(aws_ecs_task_definition.role["query"].container_definitions)[0].environment : e.name => e.value if startswith(e.name, "RASTRO_DATABASE_") } == {
      RASTRO_DATABASE_AUTH     = "iam"
      RASTRO_DATABASE_CA_FILE  = "/etc/rastro/certs/rds.pem"
      RASTRO_DATABASE_READ_URL = "postgres://rastro@reader.example.com:5432/rastro"
      RASTRO_DATABASE_URL      = "postgres://rastro@writer.example.com:5432/rastro"
    }
    error_message = "The database is reached otherwise than by IAM."
  }
  assert {
    condition     = alltrue([for role, t in aws_ecs_task_definition.role : jsondecode(t.container_definitions)[0].command == ["serve", role]])
    error_message = "A task plays another role than its service's."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.role["dashboard"].container_definitions)[0].image == var.dashboard_image && jsondecode(aws_ecs_task_definition.role["ingest"].container_definitions)[0].image == var.image
    error_message = "A role has the other's image."
  }
}

run "tasks_reach_https_and_their_database" {
  command = plan

  assert {
    condition = (aws_vpc_security_group_egress_rule.tasks.from_port == 443 && aws_vpc_security_group_egress_rule.tasks.to_port == 443
    && aws_vpc_security_group_egress_rule.database.referenced_security_group_id == "sg-1" && aws_vpc_security_group_egress_rule.database.cidr_ipv4 == null)
    error_message = "Tasks reach more than HTTPS and the database."
  }
}

run "roles_are_scaled_by_cpu_and_processors_by_what_waits" {
  command = plan

  assert {
    condition = { for role, p in aws_appautoscaling_policy.cpu : role => one(p.target_tracking_scaling_policy_configuration).target_value } == {
      ingest = 60, query = 60, processor = 70, dashboard = 70
    }
    error_message = "A role is not scaled by CPU."
  }
  assert {
    condition     = { for role, t in aws_appautoscaling_target.role : role => "${t.resource_id} ${t.min_capacity} ${t.max_capacity}" }["processor"] == "service/rastro/processor 2 20"
    error_message = "Another service than the processor's is scaled, or to other bounds."
  }
  assert {
    condition     = [for m in one(one(aws_appautoscaling_policy.backlog.target_tracking_scaling_policy_configuration).customized_metric_specification).metrics : m.expression if m.return_data] == ["(q0 + q1) / tasks"]
    error_message = "Processors are not scaled by what waits, by task."
  }
  assert {
    condition = toset(flatten([
      for m in one(one(aws_appautoscaling_policy.backlog.target_tracking_scaling_policy_configuration).customized_metric_specification).metrics :
      [for s in m.metric_stat : [for d in one(s.metric).dimensions : "${m.id} ${one(s.metric).metric_name} ${d.value}" if d.name != "ClusterName"]]
    ])) == toset(["tasks RunningTaskCount processor", "q0 ApproximateNumberOfMessagesVisible in", "q1 ApproximateNumberOfMessagesVisible persist"])
    error_message = "What waits is looked for in other queues."
  }
}

run "more_queues_than_a_policy_takes_are_said" {
  command = plan

  variables {
    queue_arns = { for n in range(10) : "q-${n}" => "arn:aws:sqs:eu-west-1:123456789012:q-${n}" }
  }

  expect_failures = [check.every_queue_counts]
}

run "upgrades_without_downtime" {
  command = plan

  assert {
    condition     = alltrue([for s in aws_ecs_service.role : s.deployment_minimum_healthy_percent == 100 && one(s.deployment_circuit_breaker).rollback])
    error_message = "Old tasks leave before new ones are ready, or a version that does not come up stays."
  }
  assert {
    condition     = { for role, s in aws_ecs_service.role : role => length(s.load_balancer) } == { ingest = 1, query = 1, dashboard = 1, processor = 0 }
    error_message = "The load balancer leads to other roles."
  }
  assert {
    condition     = alltrue([for g in aws_lb_target_group.role : one(g.health_check).path == "/readyz"])
    error_message = "A role that is not ready gets requests."
  }
}

run "the_load_balancer_tells_nobody_metrics_and_speaks_https_only" {
  command = plan

  assert {
    condition     = one(one(aws_lb_listener_rule.metrics.condition).path_pattern).values == toset(["/metrics"]) && one(one(aws_lb_listener_rule.metrics.action).fixed_response).status_code == "404"
    error_message = "Metrics can be read from outside."
  }
  assert {
    condition     = aws_lb_listener_rule.metrics.priority < aws_lb_listener_rule.ingest.priority && aws_lb_listener_rule.ingest.priority < aws_lb_listener_rule.query.priority
    error_message = "The rules are looked at in another order."
  }
  assert {
    condition     = one(one(aws_lb_listener.redirect.default_action).redirect).protocol == "HTTPS" && startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-1-2")
    error_message = "The load balancer speaks plain HTTP, or old TLS."
  }
}

run "a_secret_in_the_environment_is_refused" {
  command = plan

  variables {
    environment = { RASTRO_SESSION_KEY = "it would be in the state" }
  }

  expect_failures = [var.environment]
}

run "a_role_too_few_is_refused" {
  command = plan

  variables {
    roles = { ingest = { cpu = 512, memory = 1024, min = 2, max = 10, cpu_pct = 60 } }
  }

  expect_failures = [var.roles]
}

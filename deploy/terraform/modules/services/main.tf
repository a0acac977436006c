# A service on ECS Fargate for each role, each with a role of its own in IAM that may do what it does and nothing else.
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  port     = 8080
  metrics  = "127.0.0.1:9464"
  fronted  = toset(["ingest", "query", "dashboard"])
  all_sqs  = concat(values(var.queue_arns), values(var.dead_letter_queue_arns))
  database = "postgres://${var.database.user}@${var.database.endpoint}:5432/${var.database.name}"

  environment = merge({
    RASTRO_ENVIRONMENT      = var.environment_name
    RASTRO_LISTEN           = ":${local.port}"
    RASTRO_METRICS_LISTEN   = local.metrics # the collector of the same task reads them, and nobody else
    RASTRO_BROKER           = "sqs"
    RASTRO_SQS_REGION       = data.aws_region.current.region
    RASTRO_SQS_PREFIX       = var.sqs_prefix
    RASTRO_DATABASE_URL     = local.database
    RASTRO_DATABASE_AUTH    = "iam"
    RASTRO_DATABASE_CA_FILE = "/etc/rastro/certs/rds.pem"
    RASTRO_OIDC_ISSUER      = var.oidc_issuer
    RASTRO_PUBLIC_URL       = var.public_url
    RASTRO_SHUTDOWN_DELAY   = "10s"
    RASTRO_SHUTDOWN_TIMEOUT = "50s"
    # The collector of the same task.
    OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318"
    OTEL_TRACES_SAMPLER         = "parentbased_traceidratio"
    OTEL_TRACES_SAMPLER_ARG     = tostring(var.trace_sample_ratio)
    }, var.database.reader_endpoint == null ? {} : {
    RASTRO_DATABASE_READ_URL = "postgres://${var.database.user}@${var.database.reader_endpoint}:5432/${var.database.name}"
  }, var.environment)

  # Which secret a role is given. What is not in the secret cannot be given, and tasks do not start.
  secret_variables = {
    session_key        = { name = "RASTRO_SESSION_KEY", roles = ["dashboard", "query"] }
    oidc_client_secret = { name = "RASTRO_OIDC_CLIENT_SECRET", roles = ["dashboard", "query"] }
    credentials_key    = { name = "RASTRO_CREDENTIALS_KEY", roles = ["ingest"] }
    personal_key       = { name = "RASTRO_PERSONAL_KEY", roles = ["ingest", "query", "processor", "dashboard"] }
  }
  used_secrets = setunion(["session_key"], var.secret_keys)
  secrets = { for role in keys(var.roles) : role => [
    for key, s in local.secret_variables : {
      name      = s.name
      valueFrom = "${aws_secretsmanager_secret.this.arn}:${key}::"
    } if contains(local.used_secrets, key) && contains(s.roles, role)
  ] }

  collector_config = yamlencode({
    receivers = {
      otlp = { protocols = { http = { endpoint = "127.0.0.1:4318" } } }
      prometheus = { config = { scrape_configs = [{
        job_name        = "rastro"
        scrape_interval = "60s"
        static_configs  = [{ targets = [local.metrics] }]
        metric_relabel_configs = [{
          source_labels = ["__name__"]
          regex         = "rastro_(balance_events|queue_messages|figures_updated_timestamp_seconds|breaker_state)"
          action        = "keep"
        }]
      }] } }
    }
    processors = { batch = {} }
    exporters = {
      awsxray = {}
      awsemf = {
        namespace               = var.name
        log_group_name          = "/metrics/${var.name}"
        dimension_rollup_option = "NoDimensionRollup"
        metric_declarations = [
          { dimensions = [["state"], ["pipeline", "state"]], metric_name_selectors = ["rastro_balance_events"] },
          { dimensions = [["topic", "pipeline", "state"]], metric_name_selectors = ["rastro_queue_messages"] },
          { dimensions = [["pipeline", "stage"]], metric_name_selectors = ["rastro_breaker_state"] },
        ]
      }
    }
    service = { pipelines = {
      traces  = { receivers = ["otlp"], processors = ["batch"], exporters = ["awsxray"] }
      metrics = { receivers = ["prometheus"], processors = ["batch"], exporters = ["awsemf"] }
    } }
  })
}

# Its value is put there by hand or by a rotation, never by Terraform, so that no state has it:
#   aws secretsmanager put-secret-value --secret-id NAME/services --secret-string '{"session_key":"...","personal_key":"..."}'
resource "aws_secretsmanager_secret" "this" {
  name_prefix = "${var.name}/services-"
  description = "Keys of rastro, as JSON: session_key, credentials_key, personal_key, oidc_client_secret"
  kms_key_id  = var.kms_key_arn
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_security_group" "tasks" {
  name_prefix = "${var.name}-tasks-"
  description = "Roles of rastro"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "From the load balancer"
  referenced_security_group_id = aws_security_group.load_balancer.id
  from_port                    = local.port
  to_port                      = local.port
  ip_protocol                  = "tcp"
}

# AWS, the issuer and whom webhooks call, wherever they are.
resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.tasks.id
  description       = "HTTPS"
  cidr_ipv4         = "0.0.0.0/0"
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
}

resource "aws_vpc_security_group_egress_rule" "database" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "PostgreSQL"
  referenced_security_group_id = var.database.security_group_id
  from_port                    = 5432
  to_port                      = 5432
  ip_protocol                  = "tcp"
}

resource "aws_ecs_task_definition" "role" {
  for_each                 = var.roles
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.key].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([
    {
      name                   = "rastro"
      image                  = each.key == "dashboard" ? var.dashboard_image : var.image
      command                = ["serve", each.key]
      essential              = true
      user                   = "65532:65532"
      readonlyRootFilesystem = true
      stopTimeout            = 60
      portMappings           = [{ name = "http", containerPort = local.port, protocol = "tcp" }]
      environment            = [for name, value in merge(local.environment, { OTEL_SERVICE_NAME = "rastro-${each.key}" }) : { name = name, value = value }]
      secrets                = local.secrets[each.key]
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      healthCheck = {
        command     = ["CMD", "/usr/local/bin/rastro", "healthcheck", "--live"]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 60
      }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = var.log_group_names[each.key]
          awslogs-region        = data.aws_region.current.region
          awslogs-stream-prefix = "rastro"
        }
      }
    },
    {
      name                   = "collector"
      image                  = var.collector_image
      essential              = false
      readonlyRootFilesystem = true
      environment            = [{ name = "AOT_CONFIG_CONTENT", value = local.collector_config }]
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = var.log_group_names[each.key]
          awslogs-region        = data.aws_region.current.region
          awslogs-stream-prefix = "collector"
        }
      }
    },
  ])
}

# Run it before the services of a new version: see the output migrate_command.
resource "aws_ecs_task_definition" "migrate" {
  family                   = "${var.name}-migrate"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task["processor"].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([{
    name                   = "migrate"
    image                  = var.image
    command                = ["migrate"]
    essential              = true
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    environment            = [for name, value in local.environment : { name = name, value = value } if !startswith(name, "OTEL_")]
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_names["migrate"]
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = "rastro"
      }
    }
  }])
}

resource "aws_ecs_service" "role" {
  for_each                          = var.roles
  name                              = each.key
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.role[each.key].arn
  desired_count                     = each.value.min
  launch_type                       = "FARGATE"
  propagate_tags                    = "SERVICE"
  enable_ecs_managed_tags           = true
  health_check_grace_period_seconds = contains(local.fronted, each.key) ? 60 : null

  # New tasks take over before old ones leave, and a version that does not come up is taken back.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = contains(local.fronted, each.key) ? [each.key] : []
    content {
      target_group_arn = aws_lb_target_group.role[load_balancer.value].arn
      container_name   = "rastro"
      container_port   = local.port
    }
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_lb_listener.https]
}

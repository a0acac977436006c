resource "aws_appautoscaling_target" "role" {
  for_each           = var.roles
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.role[each.key].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = each.value.min
  max_capacity       = each.value.max
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each           = var.roles
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.role[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.role[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.role[each.key].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = each.value.cpu_pct
    scale_in_cooldown  = 300
    scale_out_cooldown = 30

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# A policy takes ten metrics, of which one is how many tasks there are.
check "every_queue_counts" {
  assert {
    condition     = length(var.queue_arns) <= 9
    error_message = "Processors are scaled by the first nine queues alone, of ${length(var.queue_arns)}, and by CPU: have stages that need no queue between them run together (fuse), or scale by a metric of your own."
  }
}

locals {
  scaled_queues = slice(sort(keys(var.queue_arns)), 0, min(length(var.queue_arns), 9))
}

# Messages that wait, by task.
resource "aws_appautoscaling_policy" "backlog" {
  name               = "backlog-per-task"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.role["processor"].service_namespace
  resource_id        = aws_appautoscaling_target.role["processor"].resource_id
  scalable_dimension = aws_appautoscaling_target.role["processor"].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_task
    scale_in_cooldown  = 300
    scale_out_cooldown = 30

    customized_metric_specification {
      metrics {
        id          = "per_task"
        label       = "Messages that wait, by task"
        expression  = "(${join(" + ", [for index, _ in local.scaled_queues : "q${index}"])}) / tasks"
        return_data = true
      }

      metrics {
        id          = "tasks"
        return_data = false
        metric_stat {
          stat = "Average"
          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"
            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }
            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.role["processor"].name
            }
          }
        }
      }

      dynamic "metrics" {
        for_each = local.scaled_queues
        content {
          id          = "q${metrics.key}"
          return_data = false
          metric_stat {
            stat = "Maximum"
            metric {
              namespace   = "AWS/SQS"
              metric_name = "ApproximateNumberOfMessagesVisible"
              dimensions {
                name  = "QueueName"
                value = metrics.value
              }
            }
          }
        }
      }
    }
  }
}

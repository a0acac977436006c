mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name                      = "rastro"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2"]
  client_security_group_ids = { tasks = "sg-1" }
}

run "encrypted_backed_up_and_without_a_password" {
  command = plan

  assert {
    condition     = aws_rds_cluster.this.storage_encrypted && aws_rds_cluster.this.iam_database_authentication_enabled
    error_message = "The database is not encrypted, or does not sign in by IAM."
  }
  assert {
    condition     = aws_rds_cluster.this.manage_master_user_password
    error_message = "A password would be in the state."
  }
  assert {
    condition     = aws_rds_cluster.this.backup_retention_period == 14 && aws_rds_cluster.this.deletion_protection && !aws_rds_cluster.this.skip_final_snapshot
    error_message = "The database is not kept as docs/production.md says."
  }
  assert {
    condition     = contains([for p in aws_rds_cluster_parameter_group.this.parameter : "${p.name}=${p.value}"], "rds.force_ssl=1")
    error_message = "Connections need not be encrypted."
  }
  assert {
    condition     = aws_rds_cluster_parameter_group.this.family == "aurora-postgresql16"
    error_message = "The parameters are of another version than the database."
  }
  assert {
    condition     = length(aws_rds_cluster_instance.this) == 2 && length(aws_db_proxy.this) == 0
    error_message = "There is not a writer and a reader, or a proxy that nobody asked for."
  }
  assert {
    condition     = [for r in aws_vpc_security_group_ingress_rule.clients : r.referenced_security_group_id] == ["sg-1"]
    error_message = "Somebody else may connect."
  }
}

run "a_proxy" {
  command = plan

  variables {
    proxy = { enabled = true, secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rastro-abcdef" }
  }

  assert {
    condition     = aws_db_proxy.this[0].require_tls && one(aws_db_proxy.this[0].auth).iam_auth == "REQUIRED"
    error_message = "The proxy lets in what is not encrypted or does not sign in by IAM."
  }
}

run "a_proxy_needs_a_secret" {
  command = plan

  variables {
    proxy = { enabled = true }
  }

  expect_failures = [var.proxy]
}

run "an_old_version_is_refused" {
  command = plan

  variables {
    engine_version = "14.9"
  }

  expect_failures = [var.engine_version]
}

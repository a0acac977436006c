# Rastro in one region: docs/production.md goes through it step by step.
module "network" {
  source             = "../../modules/network"
  name               = var.name
  availability_zones = var.availability_zones
}

module "messaging" {
  source = "../../modules/messaging"
  topics = var.rastro_topics
}

module "database" {
  source                    = "../../modules/database"
  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.private_subnet_ids
  client_security_group_ids = { tasks = module.services.security_group_id }
  min_capacity              = var.database_min_capacity
  max_capacity              = var.database_max_capacity
  deletion_protection       = var.deletion_protection
}

module "services" {
  source             = "../../modules/services"
  name               = var.name
  vpc_id             = module.network.vpc_id
  public_subnet_ids  = module.network.public_subnet_ids
  private_subnet_ids = module.network.private_subnet_ids
  certificate_arn    = var.certificate_arn
  public_url         = "https://${var.domain}"
  image              = var.image
  dashboard_image    = var.dashboard_image
  oidc_issuer        = var.oidc_issuer

  database = {
    endpoint          = module.database.endpoint
    reader_endpoint   = module.database.reader_endpoint
    resource_id       = module.database.resource_id
    security_group_id = module.database.security_group_id
  }

  queue_arns             = module.messaging.queue_arns
  dead_letter_queue_arns = module.messaging.dead_letter_queue_arns
  sns_topic_arns         = module.messaging.sns_topic_arns
  entry                  = module.messaging.entry
  log_group_names        = module.observability.log_group_names
  environment            = var.environment
  secret_keys            = var.secret_keys
  deletion_protection    = var.deletion_protection
}

module "observability" {
  source                    = "../../modules/observability"
  name                      = var.name
  queue_names               = toset(flatten([for t in var.rastro_topics : [for r in t.readers : r.queue]]))
  dead_letter_queue_names   = toset(flatten([for t in var.rastro_topics : [for r in t.readers : r.dead_letter_queue]]))
  load_balancer_arn_suffix  = module.services.load_balancer_arn_suffix
  target_group_arn_suffixes = module.services.target_group_arn_suffixes
  cluster_identifier        = module.database.cluster_identifier
  max_capacity              = var.database_max_capacity
  emails                    = var.alarm_emails
}

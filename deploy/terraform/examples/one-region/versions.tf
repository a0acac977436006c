terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.34, < 7.0"
    }
  }

  # Where many people work on it, its state belongs into a bucket:
  # backend "s3" { bucket = "...", key = "rastro", region = "...", use_lockfile = true, encrypt = true }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { application = var.name }
  }
}

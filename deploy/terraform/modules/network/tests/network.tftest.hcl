mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name               = "rastro"
  availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
}

run "subnets_in_each_zone_that_do_not_overlap" {
  command = plan

  assert {
    condition     = length(distinct(concat([for s in aws_subnet.public : s.cidr_block], [for s in aws_subnet.private : s.cidr_block]))) == 6
    error_message = "Subnets overlap."
  }
  assert {
    condition     = aws_subnet.public["eu-west-1b"].cidr_block == "10.40.16.0/20" && aws_subnet.private["eu-west-1b"].cidr_block == "10.40.144.0/20"
    error_message = "A subnet has moved, which would replace it and everything in it."
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "The loss of a zone would take other zones' way out."
  }
  assert {
    condition     = aws_vpc_endpoint.interface["sqs"].service_name == "com.amazonaws.eu-west-1.sqs" && alltrue([for e in aws_vpc_endpoint.interface : e.private_dns_enabled])
    error_message = "SQS is not reached inside the network."
  }
}

run "one_nat_gateway_for_all" {
  command = plan

  variables {
    nat_gateway_per_zone = false
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-west-1a"] && length(aws_route.nat) == 3
    error_message = "There is not one NAT gateway for the three zones."
  }
}

run "one_zone_is_refused" {
  command = plan

  variables {
    availability_zones = ["eu-west-1a"]
  }

  expect_failures = [var.availability_zones]
}

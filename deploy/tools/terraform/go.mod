module github.com/rastrohq/rastro/deploy/tools/terraform

go 1.26.0

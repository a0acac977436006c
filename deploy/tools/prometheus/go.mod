module github.com/rastrohq/rastro/deploy/tools/prometheus

go 1.26.0

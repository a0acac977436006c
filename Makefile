# Rastro. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GOLANGCI_LINT_VERSION := v2.15.0
BENCHSTAT_VERSION := v0.0.0-20250813145418-2f7363a06fe1
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
ARGS ?=
CHAOS ?=

.PHONY: help run build dashboard api test test-go examples tidy test-dashboard deploy-check verify-deploy lint docs fmt bench bench-baseline bench-growth bench-query conformance e2e chaos chaos-short soak soak-dashboard pictures fuzz clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: build ## build and run everything on this machine; ARGS="--simulate 100" adds flags
	@.ci/need postgres
	@exec bin/rastro dev $(ARGS)

build: dashboard ## build the dashboard and bin/rastro
	go build -trimpath -ldflags "-s -w -X github.com/rastrohq/rastro/cli.version=$(VERSION)" -o bin/rastro .

dashboard: dashboard/dist/app/index.html

dashboard/dist/app/index.html: dashboard/node_modules $(shell find dashboard/src dashboard/public dashboard/scripts -type f 2>/dev/null) dashboard/index.html dashboard/vite.config.ts dashboard/package.json
	cd dashboard && npm run --silent build

dashboard/node_modules: dashboard/package-lock.json
	cd dashboard && npm ci --no-audit --no-fund
	@touch $@

api: dashboard/node_modules ## write the dashboard's types of the API anew, from what a server says of itself
	@.ci/need postgres
	RASTRO_UPDATE_GOLDEN=1 go test -count=1 -run TestTheDashboardsDocumentIsCurrent ./cli
	cd dashboard && npm run --silent api

test: lint test-go examples test-dashboard deploy-check ## everything that must hold before a change lands

test-go: ## Go tests with the race detector, on a real PostgreSQL and a real broker
	@.ci/need postgres
	go vet ./...
	go test -race -timeout 40m ./...

examples: bin/golangci-lint ## the modules under examples/, each as a third party would build and test it
	@for dir in examples/*/; do \
	  echo "$$dir"; (cd $$dir && go vet ./... && go test -race ./... && $(CURDIR)/bin/golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...) || exit 1; \
	done

tidy: ## go.mod and go.sum of every module; needed by examples/ when ours change
	go mod tidy
	@for dir in examples/*/ deploy/tools/*/; do echo "$$dir"; (cd $$dir && go mod tidy) || exit 1; done

test-dashboard: dashboard/node_modules ## type check, lint and unit tests of the dashboard
	cd dashboard && npm run --silent api:check && npm run --silent typecheck && npm run --silent lint && npm test --silent

deploy-check: ## what deploy/ holds, each by the tool that takes it: Dockerfiles, compose, the chart, Terraform, Prometheus' rules, Grafana
	@.ci/need promtool
	@for dir in deploy/tools/*/; do echo "$$dir"; (cd $$dir && go vet ./... && go test -count=1 ./...) || exit 1; done
	bin/promtool check config deploy/prometheus/prometheus.yaml
	bin/promtool test rules deploy/prometheus/rules_test.yaml

# VERIFY leaves parts out: make verify-deploy VERIFY="alerts kubernetes"
VERIFY ?=
verify-deploy: ## what takes longer, an hour or two the first time: drills, real images, API server, collector, AWS provider; VERIFY="alerts images" takes some; each part of deploy/verify runs alone
	@deploy/verify/all $(VERIFY)

lint: bin/golangci-lint ## pinned golangci-lint
	bin/golangci-lint run --allow-parallel-runners ./...

bin/golangci-lint: Makefile
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@touch $@

docs: ## write the docs that are generated: docs/stages.md
	go run . pipeline describe --format markdown > docs/stages.md.new
	@mv docs/stages.md.new docs/stages.md

fmt: bin/golangci-lint ## format the code
	bin/golangci-lint fmt ./...
	cd dashboard && npm run --silent format

e2e: build ## the built binary, driven from outside: samples, traces, a browser, a kill in the middle
	@.ci/need postgres chromium
	RASTRO_BINARY=$(CURDIR)/bin/rastro go test -tags e2e -count=1 -timeout 40m -run 'TestEndToEnd' -v ./cli

soak: ## outages of a minute and an overload of five, of which `make test` runs short ones
	@.ci/need postgres
	RASTRO_TEST_OUTAGE=60s RASTRO_TEST_OVERLOAD=5m go test -count=1 -timeout 30m -run 'TestAnOutage|TestOutages|TestOverload' -v ./cli

soak-dashboard: build ## the dashboard under twenty updates a second for ten minutes: its memory must not grow; RASTRO_E2E_SOAK takes other minutes
	@.ci/need postgres chromium
	RASTRO_E2E_SOAK=$${RASTRO_E2E_SOAK:-10} RASTRO_BINARY=$(CURDIR)/bin/rastro go test -tags e2e -count=1 -timeout 40m -run 'TestDashboardSoak' -v ./cli

pictures: build ## pictures of every page of the dashboard, in both themes, to docs/images
	@.ci/need postgres chromium
	RASTRO_E2E_PICTURES=$(CURDIR)/docs/images RASTRO_BINARY=$(CURDIR)/bin/rastro go test -tags e2e -count=1 -timeout 30m -run 'TestDashboardPictures' -v ./cli

conformance: routers/sqs/testdata/fauxqs/node_modules ## the whole of Watermill's suite on every transport, SQS on two servers, without the race detector, which `make test` uses on a part of it
	RASTRO_CONFORMANCE=full go test -count=1 -timeout 15m -run Conformance ./routers/nats ./routers/sqs
	RASTRO_CONFORMANCE=full .ci/with-fauxqs go test -count=1 -timeout 15m ./routers/sqs

# A second SQS server, which shares no code with the one in process.
routers/sqs/testdata/fauxqs/node_modules: routers/sqs/testdata/fauxqs/package-lock.json
	cd routers/sqs/testdata/fauxqs && npm ci --no-audit --no-fund
	@touch $@

bench: build bin/benchstat ## what Rastro costs and how fast it is, of what this machine can do, against internal/bench/baseline.txt; ARGS="-during 60s" measures longer
	@.ci/need postgres
	go run ./internal/bench -binary bin/rastro -out bin/bench.txt $(ARGS)
	@if [ -f internal/bench/baseline.txt ]; then bin/benchstat internal/bench/baseline.txt bin/bench.txt; \
	else echo "there is no baseline yet: make bench-baseline"; fi

bench-baseline: build ## measure five times on a quiet machine, and keep that as what `make bench` compares with
	@.ci/need postgres
	@rm -f bin/baseline.txt
	for i in 1 2 3 4 5; do go run ./internal/bench -binary bin/rastro -out bin/bench.txt $(ARGS) && cat bin/bench.txt >> bin/baseline.txt || exit 1; done
	@mv bin/baseline.txt internal/bench/baseline.txt

bench-growth: build ## how the cost of an event grows with what is stored, tenants, batches and payloads; ARGS="-events 1000000" stores fewer than 10 million
	@.ci/need postgres
	go run ./internal/bench -binary bin/rastro -only processors,stored,sizes -out bin/growth.txt $(ARGS)

bin/benchstat: Makefile
	GOBIN=$(CURDIR)/bin go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)
	@touch $@

bench-query: build ## how long queries take with 10 million events stored, and their plans; needs some 20 GB; ARGS="-events 1000000" takes fewer
	@.ci/need postgres
	go run ./internal/bench -binary bin/rastro -only query $(ARGS)

chaos: build bin/rastro-chaos ## processes killed for minutes over NATS and SQS: nothing lost, nothing double; CHAOS="-broker nats -seed 7" adds flags
	@.ci/need postgres
	go test -tags chaos -count=1 ./internal/crash
	go run ./internal/chaos -binary bin/rastro -crash-binary bin/rastro-chaos $(CHAOS)

chaos-short: build ## ten kills over NATS, in half a minute
	@.ci/need postgres
	go run ./internal/chaos -binary bin/rastro -broker nats -kills 10 -rate 300 $(CHAOS)

.PHONY: bin/rastro-chaos
bin/rastro-chaos: # a binary that kills itself where RASTRO_CRASH_AT says: never ship it
	go build -trimpath -tags chaos -ldflags "-X github.com/rastrohq/rastro/cli.version=$(VERSION)-chaos" -o $@ .

fuzz: ## every fuzz target for FUZZTIME (default 30s)
	@for pkg in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -hoE '^func (Fuzz[A-Za-z0-9_]+)' $$pkg/*_test.go | awk '{print $$2}'); do \
	    echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $${FUZZTIME:-30s} $$pkg || exit 1; \
	  done; \
	done

clean: ## remove what was built, and the data of `make run`
	rm -rf bin .rastro dashboard/dist/app dashboard/node_modules coverage.out

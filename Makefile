# All tasks of this repository. `make help` lists them.

BIN      := $(CURDIR)/bin
FUZZTIME ?= 1m

# The tag, or the tag with what follows it, or the commit. Without git `firescan version`
# prints what the Go tool recorded.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

# Pinned, and built by the Go tool into ./bin: nothing else needs to be installed.
GOLANGCI_VERSION := v2.15.0
GOFUMPT_VERSION  := v0.12.0
GOLANGCI := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)
GOFUMPT  := $(BIN)/gofumpt-$(GOFUMPT_VERSION)

.DEFAULT_GOAL := build

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/firescan
	go build -trimpath -ldflags '-s -w -X main.buildVersion=$(VERSION)' -o $(BIN)/firescan ./cmd/firescan

.PHONY: demo
demo: build ## Run three nodes with a synthetic bucket and a catalog until Ctrl-C
	$(BIN)/firescan demo

.PHONY: check
check: lint ## Lint and run the short tests, before each commit (under two minutes)
	go test -short ./...

.PHONY: test
test: ## Run all tests under the race detector, with real processes, and list the slowest
	go test -C tools ./testtimes
	go build -C tools -o $(BIN)/testtimes ./testtimes
	$(BIN)/testtimes -race -timeout 20m ./...

.PHONY: walk
walk: ## Call the 22 endpoints of the Storage API with curl and compare responses with the documentation
	@echo 'Building the walk; each step is printed when it is done.'
	go test -count 1 -v -run 'TestWalk$$' ./bench/walk

.PHONY: test-long
test-long: test ## Run all tests, the long system tests (hours), and every fuzz target for FUZZTIME (1m)
	FIRESCAN_LONG=1 go test -count=1 -timeout 2h -v -p 1 -run '^TestReal' ./provider/s3 ./cmd/firescan
	FIRESCAN_LONG=1 go test -count=1 -timeout 8h -v ./cmd/systemtest
	go test -run '^TestSimulatedClusters$$' ./scanner
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: bench
bench: build ## Measure firescan and its peers side by side into bench/RESULTS.md (BENCH='-help' lists options)
	go run ./bench/compare -firescan $(BIN)/firescan $(BENCH)

.PHONY: generate
generate: ## Generate code from the .proto files and openapi.yaml, with the tools pinned in tools/go.mod
	go tool -modfile=tools/go.mod buf generate
	go tool -modfile=tools/go.mod oapi-codegen -config api/client/oapi-codegen.yaml api/openapi.yaml

.PHONY: lint
lint: $(GOLANGCI) $(GOFUMPT) ## Check the format, run go vet and golangci-lint
	@unformatted=$$($(GOFUMPT) -modpath firescan -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(GOLANGCI) run ./...

.PHONY: fmt
fmt: $(GOFUMPT) ## Format the code
	$(GOFUMPT) -modpath firescan -w .

$(BIN)/golangci-lint-%:
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	mv $(BIN)/golangci-lint $@

$(BIN)/gofumpt-%:
	GOBIN=$(BIN) go install mvdan.cc/gofumpt@$*
	mv $(BIN)/gofumpt $@

# SPDX-License-Identifier: Apache-2.0

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The tools that are called use all CPUs by themselves, and tests that run together disturb each other's timing.
.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules

# sudo starts with a short PATH, in which Go is often missing.
export PATH := $(CURDIR)/bin:$(PATH):/usr/local/go/bin:/usr/lib/go/bin:/usr/sbin
GO := go
ifeq ($(shell command -v $(GO)),)
$(error Go is not in PATH; see https://go.dev/doc/install)
endif
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

# Version control is not asked for a stamp: under sudo git does not trust a clone of another user. Paths are trimmed
# everywhere, so that tests and lint find in the cache what the collector was built of. Neither the collector nor
# tests in virtual machines may need a C library.
export GOFLAGS := $(filter-out -buildvcs% -trimpath%,$(shell $(GO) env GOFLAGS)) -buildvcs=false -trimpath
export CGO_ENABLED := 0

# What a user may set.
CONFIG    ?= config/collector.yaml
# host is the running kernel; the others are fetched and run in virtual machines.
KERNELS   ?= host,6.1,6.12
KERNEL    ?= 6.12
PKG       ?= ./internal/load
RUN       ?= .
TESTFLAGS ?=
FUZZTIME  ?= 10s
# Empty when there is no C compiler for the race detector.
RACE      ?= -race
PREFIX    ?= /usr/local
# The heap is small, and records are short-lived: to let it grow to three times what lives, instead of twice, costs some 15 MB
# and halves the work of the garbage collector, which is a quarter of all. The systemd unit does the same.
GOGC      ?= 200

# Packages whose tests load programs into a kernel: they run on each of KERNELS. All others run once.
KERNEL_PACKAGES ?= ./internal/kernel ./internal/enrich ./internal/load ./internal/tracer $(if $(wildcard test),./test/...)

# Tests of the whole collector take the built one and the files that users start from, in a virtual machine too.
COLLECTOR_TESTS := $(filter ./test/%,$(if $(filter vm-test,$(MAKECMDGOALS)),$(PKG),$(KERNEL_PACKAGES)))
export RINGSIDE_BIN := $(CURDIR)/bin/ringside
export RINGSIDE_VM_WITH := $(RINGSIDE_VM_WITH)$(if $(COLLECTOR_TESTS),:$(CURDIR)/bin/ringside:$(CURDIR)/config)

# What tests of the built collector need in the machine.
export RINGSIDE_VM_WITH := $(CURDIR)/bin/ringside:$(CURDIR)/config

# Debian and Ubuntu packages, and what tells that they are there (see internal/tools/packages). The compiler's version
# is fixed, so that the BPF objects have the same bytes wherever they are generated.
CLANG_PACKAGES := clang-19 llvm-19:llvm-strip-19 libbpf-dev:/usr/include/bpf/bpf_helpers.h
RACE_PACKAGES  := $(if $(RACE),gcc libc6-dev:/usr/include/stdlib.h)
VM_PACKAGES    := qemu-system-x86:qemu-system-x86_64
PACKAGES       := internal/tools/packages

TOOL_builder       := go.opentelemetry.io/collector/cmd/builder
TOOL_golangci-lint := github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# $(call sources,FOLDERS): the files that a Go build of these folders reads.
sources = $(shell find $(wildcard $(1)) -type f \( -name '*.go' -not -name '*_test.go' -o -name '*.o' \))

##@ Build and run

.PHONY: build
build: bin/ringside ## Build ./bin/ringside, the collector; needs Go only

.PHONY: run
run: bin/ringside ## Build it and run it on CONFIG (root): one line per event on stdout
	@exec $(SUDO) env GOGC=$(GOGC) ./bin/ringside --config $(CONFIG)

.PHONY: install
install: bin/ringside ## Install the collector, its configuration and the systemd unit under PREFIX (root)
	install -D -m 0755 bin/ringside $(DESTDIR)$(PREFIX)/bin/ringside
	[ -e $(DESTDIR)/etc/ringside/collector.yaml ] || \
		install -D -m 0644 config/collector.yaml $(DESTDIR)/etc/ringside/collector.yaml
	install -d $(DESTDIR)/etc/systemd/system
	sed 's|/usr/local|$(PREFIX)|' config/systemd/ringside.service >$(DESTDIR)/etc/systemd/system/ringside.service

# What is built is told on standard error: standard output of "make run" is for events alone.
#
# The builder writes the collector's main package and resolves its modules; the compiler is called apart from it, so that
# a change of code does not resolve anything again.
_build/go.mod: builder-config.yaml go.mod bin/builder
	@echo "generating $(@D), the collector's main package" >&2
	@bin/builder --config builder-config.yaml --skip-compilation >&2
	@touch $@

COLLECTOR_FOLDERS := bpf config exporter receiver \
	$(filter-out internal/tools internal/vm internal/bench,$(wildcard internal/*))

bin/ringside: _build/go.mod $(call sources,$(COLLECTOR_FOLDERS))
	@echo "building $@" >&2
	@cd _build && $(GO) build -ldflags='-s -w' -o ../$@ .
	@touch $@

##@ Test

.PHONY: test
test: unit-test kernel-test ## Run all tests: once, then those of KERNEL_PACKAGES on each of KERNELS (root)

.PHONY: unit-test
unit-test: bin/ringside ## Run the tests that need no particular kernel, with the race detector
	@$(PACKAGES) $(RACE_PACKAGES)
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) $(TESTFLAGS) \
		$$(comm -23 <($(GO) list ./... | sort) <($(GO) list $(KERNEL_PACKAGES) | sort))

.PHONY: kernel-test
kernel-test: bin/ringside bin/vm ## Run the tests of KERNEL_PACKAGES on each of KERNELS (root for host)
	@$(PACKAGES) $(VM_PACKAGES)
	bin/vm suite -kernels $(KERNELS) $(KERNEL_PACKAGES)

.PHONY: vm-test
vm-test: bin/vm $(if $(filter ./test/%,$(PKG)),bin/ringside) ## Run one test on one kernel: make vm-test KERNEL=6.12 PKG=./internal/load RUN=TestX
	@$(PACKAGES) $(VM_PACKAGES)
	$(GO) test -count=1 -exec '$(CURDIR)/bin/vm run -kernel $(KERNEL)' -run '$(RUN)' $(TESTFLAGS) $(PKG)

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME
	@grep -rHo --include='*_test.go' --exclude-dir=_build '^func Fuzz[A-Za-z0-9_]*' . | sort | \
	while IFS=: read -r file function; do \
		echo "== $$(dirname "$$file") $${function#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${function#func }\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	done

.PHONY: bench
bench: bin/ringside bin/vm ## Measure what it costs, in instructions and bytes, and print it beside the limits
	@$(PACKAGES) $(VM_PACKAGES)
	$(GO) run ./internal/bench

##@ Change

.PHONY: generate
generate: ## Generate BPF objects, metadata code, documentation; format
	@$(PACKAGES) $(CLANG_PACKAGES)
	$(GO) generate ./...
	gofmt -w -s $$(find . -name '*.go' -not -path './_build/*')

.PHONY: lint
lint: bin/golangci-lint ## Check style and import directions
	bin/golangci-lint run ./...

.PHONY: clean
clean: ## Remove what was built; kernels and modules stay in their caches
	rm -rf bin _build

.PHONY: help
help: ## Show this text
	@awk -F ':.*## ' '/^##@ /{print "\n" substr($$0, 5)} /^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@

bin/builder bin/golangci-lint: internal/tools/go.mod
	@echo "building $@" >&2
	@GOOS= GOARCH= $(GO) build -C internal/tools -ldflags='-s -w' -o $(CURDIR)/$@ $(TOOL_$(@F))
	@touch $@

bin/vm: go.mod $(call sources,internal/vm)
	@echo "building $@" >&2
	@GOOS= GOARCH= $(GO) build -o $@ ./internal/vm
	@touch $@

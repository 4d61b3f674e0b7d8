# SPDX-License-Identifier: Apache-2.0
# Sealift: build, lab, tests. `make help` lists the targets; parts of their own lie beside what they build.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# Folders whose own Makefile builds (all), tests (check) and cleans (clean) native code, inside the builder.
NATIVE := native/rxe native/criu-plugin native/shim native/addon e2e/workloads

include e2e/lab/lab.mk

.PHONY: help native native-clean

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {gsub(/[$$][$$]/, "$$", $$2); printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

native: builder node_modules/.package-lock.json ## Build everything that is C or C++, in the builder
	@for dir in $(NATIVE); do [ ! -f $$dir/Makefile ] || $(BUILDER) run $(MAKE) -C $$dir; done

native-clean: ## Remove what `make native` built
	@for dir in $(NATIVE); do [ ! -f $$dir/Makefile ] || $(BUILDER) run $(MAKE) -C $$dir clean; done

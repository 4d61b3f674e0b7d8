# SPDX-License-Identifier: Apache-2.0
# Sealift: build, lab, tests. `make help` lists the targets. Steps that take long show their progress; V=1 shows all output.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# Directories with native code. Their Makefiles build (all), test (check) and clean (clean) it in the builder.
NATIVE := native/rxe native/criu-plugin native/shim native/addon e2e/workloads

include e2e/lab/lab.mk
include e2e/kind/kind.mk
include simulation/simulation.mk
include native/rxe/debug-kernel/debug-kernel.mk
include bench/bench.mk

.PHONY: help native native-check native-clean js kubectl-plugin kubectl-plugin-executable images applications build demo e2e e2e-kind faults e2e-test test format model

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {gsub(/[$$][$$]/, "$$", $$2); printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo '  V=1 shows all output of a step instead of its progress. The first `make demo` takes half an hour or more.'

node_modules/.package-lock.json: package.json package-lock.json
	@$(STEP) npm npm ci --no-audit --no-fund
	@touch $@

native: builder node_modules/.package-lock.json build/native/driver.stamp ## Build everything that is C or C++, in the builder
	@$(STEP) native $(MAKE) --no-print-directory native-parts

.PHONY: native-parts
native-parts:
	@for dir in $(NATIVE); do [ ! -f $$dir/Makefile ] || $(BUILDER) run $(MAKE) --no-print-directory -C $$dir; done

# The kernel module, for the kernel release of the builder's headers, which is the nodes'.
build/native/driver.stamp: $(wildcard native/rxe/patches/* native/rxe/src/* native/rxe/uapi/* native/rxe/build.sh) | builder
	@rm -rf build/native/modules
	@$(STEP) driver $(BUILDER) run sh -c 'native/rxe/build.sh /usr/src/linux-headers-$$KERNEL_RELEASE \
		/usr/src/linux-source-6.12.tar.xz build/native/modules/$$KERNEL_RELEASE'
	@touch $@

native-clean: ## Remove what `make native` built
	@for dir in $(NATIVE); do [ ! -f $$dir/Makefile ] || $(BUILDER) run $(MAKE) --no-print-directory -C $$dir clean; done

native-check: builder node_modules/.package-lock.json ## Run `make check` of every native part
	@for dir in $(NATIVE); do \
		if grep -qs '^check:' $$dir/Makefile; then $(BUILDER) run $(MAKE) $(if $(filter-out 0,$(V)),,-s) --no-print-directory -C $$dir check RUNC=$${LAB:-$(CURDIR)/build/lab}/bin/runc; fi; \
	done

js: node_modules/.package-lock.json ## Bundle operator and agent
	@node images/bundle.ts

kubectl-plugin: node_modules/.package-lock.json ## Bundle the plugin of kubectl to build/kubectl-plugin/kubectl-sealift
	@node images/bundle.ts kubectl-plugin

kubectl-plugin-executable: kubectl-plugin ## The same with Node.js in it: build/kubectl-plugin/single/kubectl-sealift
	@mkdir -p build/kubectl-plugin/single
	@node images/single-executable.ts build/kubectl-plugin/kubectl-sealift build/kubectl-plugin/single/kubectl-sealift

images: native js lab-binaries ## Build the image archives under build/images
	@$(STEP) images images/build.sh

applications: node_modules/.package-lock.json builder ## Build the image with UCX and Open MPI, for the cases that run them
	@$(STEP) applications images/build.sh applications

build: images ## Build everything

format: node_modules/.package-lock.json ## Format every file
	@npx --no-install prettier --write --log-level warn .

model: builder ## Check the handover's model, and that it finds seeded mistakes
	@$(BUILDER) run spec/check.sh

demo: lab-up build ## Move running RDMA pods between two nodes; KEEP=1 leaves the lab up
	@status=0; PROVIDER=lab node e2e/demo.ts || status=$$?; \
	[ -n "$${KEEP:-}" ] || $(MAKE) --no-print-directory lab-down; exit $$status

e2e: lab-up build ## Run every case on the lab; CASE=name picks
	@PROVIDER=lab node e2e/main.ts

e2e-kind: kind-cluster build ## Run every case that a kind cluster can run; CASE=name picks
	@PROVIDER=kind node e2e/main.ts

faults: lab-up build ## Let each component fail at each step of a move; CASE=fault-operator picks
	@PROVIDER=lab node e2e/main.ts --faults

e2e-test: lab-up build
	@PROVIDER=lab node e2e/main.ts --test

test: lab-plan lab-deps node_modules/.package-lock.json lab-binaries ## Run the tests; ends with `N passed, N failed`; LANES=unit,native picks
	@node e2e/lanes.ts

# SPDX-License-Identifier: GPL-2.0
# The driver under a kernel with KASAN, lockdep and kmemleak. See native/rxe/debug-kernel/README.md.

DEBUG_KERNEL_SH := native/rxe/debug-kernel/debug-kernel.sh

.PHONY: debug-kernel debug-test debug-lane debug-stock debug-stock-programs fuzz

debug-kernel: lab-deps ## Build the debug kernel, about 20 minutes
	@$(DEBUG_KERNEL_SH) up

debug-test: lab-deps ## Run the driver's tests under the debug kernel; ONLY='goes on' picks
	@$(DEBUG_KERNEL_SH) test

fuzz: lab-deps ## Fuzz the driver under the debug kernel: TIME=600 seconds, SEED=1, EPOCHS=1 for one alone
	@$(DEBUG_KERNEL_SH) fuzz $(or $(TIME),600) $(or $(SEED),$$(date +%s)) $(EPOCHS)

debug-stock: lab-deps ## Compare the distribution's driver with this one under the debug kernel: NUMBER=60 random programmes, SEED=1
	@$(DEBUG_KERNEL_SH) stock $(or $(NUMBER),60) $(or $(SEED),1)

debug-stock-programs: lab-deps ## The same over rdma-core's programs and Python tests, and perftest; ONLY='rping' picks
	@$(DEBUG_KERNEL_SH) programs '$(ONLY)'

debug-lane:
	@$(DEBUG_KERNEL_SH) lane

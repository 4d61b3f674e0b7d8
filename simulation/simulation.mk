# SPDX-License-Identifier: Apache-2.0
# The simulation: the real code of operator and agents in one process, under random faults.

.PHONY: simulate

simulate: node_modules/.package-lock.json ## Random faults: N=100000 SEED=1 [MUTANT='thaw on timeout']; REPLAY='{...}' runs one schedule again, with logs
	@node --max-semi-space-size=64 simulation/src/main.ts

# SPDX-License-Identifier: Apache-2.0
# The bench: what a move costs beside what the same work costs without Sealift. See bench/README.md.

.PHONY: bench

bench: native lab-binaries ## Measure: BENCH=native,operator picks parts, RUNS=5 how often; report in build/bench
	@node bench/main.ts

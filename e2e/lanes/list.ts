// SPDX-License-Identifier: Apache-2.0
// The lanes of `make test`: what each runs, and how its result is counted. e2e/lanes.ts runs them.

export interface Lane {
  readonly name: string;
  readonly what: string;
  /** A bash script, run at the top of the checkout. */
  readonly command: string;
  /** Where the numbers come from: lines `N passed, N failed`, vitest's report, or the exit status alone. */
  readonly counts: 'lines' | 'vitest' | 'status';
  /** It may run no test if it says why: `skipped: ...`. */
  readonly optional?: true;
}

/** In the order in which they run: cheap ones first. */
export const lanes: readonly Lane[] = [
  {
    name: 'format',
    what: 'prettier',
    command: 'npx --no-install prettier --check --log-level warn .',
    counts: 'status',
  },
  { name: 'lint', what: 'eslint', command: 'npx --no-install eslint .', counts: 'status' },
  { name: 'types', what: 'tsc', command: 'npx --no-install tsc --noEmit', counts: 'status' },
  {
    name: 'native',
    what: 'C and C++: build, then the checks of each part',
    command: 'make --no-print-directory native native-check',
    counts: 'lines',
  },
  {
    name: 'unit',
    what: 'vitest, in the builder, for whose C library the addon is built',
    command:
      'e2e/lab/builder.sh run node_modules/.bin/node node_modules/vitest/vitest.mjs run ' +
      '--reporter=default --reporter=json --outputFile.json=build/test/unit.json',
    counts: 'vitest',
  },
  {
    name: 'chart',
    what: 'helm lint',
    command: 'build/lab/bin/helm lint --strict charts/sealift',
    counts: 'status',
  },
  {
    name: 'model',
    what: 'the handover: every interleaving with one fault; seeded mistakes must be found',
    command: 'make --no-print-directory model',
    counts: 'lines',
  },
  {
    name: 'simulate',
    what: 'the code of operator and agents under 10,000 schedules of faults',
    // Half of them on each of two cores.
    command:
      'make --no-print-directory simulate N=5000 SEED=1 & first=$!; ' +
      'make --no-print-directory simulate N=5000 SEED=2 || second=$?; ' +
      'wait $first; exit ${second:-0}',
    counts: 'lines',
  },
  {
    name: 'debug',
    what: 'the driver under a debug kernel, where that has been made: its tests, and a minute of the fuzzer',
    command: 'make --no-print-directory debug-lane',
    counts: 'lines',
    optional: true,
  },
  {
    // Before the lab is started: two cores carry one of them.
    name: 'kind',
    what: 'a pod there and back in a kind cluster, where there is a snapshot of it and time for it',
    command: 'make --no-print-directory kind-lane',
    counts: 'lines',
    optional: true,
  },
  {
    name: 'e2e',
    what: 'the cases that matter most, on the lab',
    command: 'make --no-print-directory e2e-test',
    counts: 'lines',
  },
];

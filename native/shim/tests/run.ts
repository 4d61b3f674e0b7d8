// SPDX-License-Identifier: Apache-2.0
// Runs every case against every binary named on the command line; ends with the count.
import { resolve } from 'node:path';
import { closedCases } from './closed.ts';
import { cniCases } from './cni.ts';
import { faultCases } from './fault.ts';
import { guardCases } from './guard.ts';
import { Bench, type Case } from './harness.ts';
import { hostCases } from './host.ts';
import { ipamCases } from './ipam.ts';
import { movingCases } from './moving.ts';
import { ociCases } from './oci.ts';
import { outcomeCases } from './outcome.ts';
import { podCases } from './pod.ts';
import { restoreCases } from './restore.ts';

const root = process.getuid?.() === 0;
const cases: Case[] = [
  ...ociCases,
  ...closedCases,
  ...movingCases,
  ...restoreCases,
  ...outcomeCases,
  ...cniCases,
  ...ipamCases,
  ...podCases,
  ...faultCases,
  ...(root ? [...hostCases, ...guardCases] : []),
];
let passed = 0;
let failed = 0;

for (const binary of process.argv.slice(2)) {
  for (const [name, run] of cases) {
    const bench = new Bench(resolve(binary));
    try {
      await run(bench);
      passed++;
    } catch (error) {
      failed++;
      console.error(`FAILED ${binary}: ${name}\n${String(error)}`);
    } finally {
      await bench.remove();
    }
  }
}
if (!root) console.log('not root: sealift-host and sealift-guard were not tested');
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;

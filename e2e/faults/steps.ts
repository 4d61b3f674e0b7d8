// SPDX-License-Identifier: Apache-2.0
// The steps of a move at which the matrix lets something fail. Each is a fault point at which an agent waits.

export interface Step {
  readonly name: string;
  readonly role: 'source' | 'target';
  readonly point: string;
}

/** In the order of a move. */
export const steps: readonly Step[] = [
  { name: 'before-hold', role: 'source', point: 'source.lock.before' },
  { name: 'held', role: 'source', point: 'source.hold.after' },
  { name: 'dumping', role: 'source', point: 'source.dump.before' },
  { name: 'streaming', role: 'source', point: 'source.transfer.before' },
  { name: 'restoring', role: 'target', point: 'target.prepare.after' },
  { name: 'at-the-gate', role: 'target', point: 'target.decide.before' },
  { name: 'decided', role: 'target', point: 'target.decide.after' },
];

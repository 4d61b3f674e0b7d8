// SPDX-License-Identifier: Apache-2.0
// The steps of a move at which the matrix lets something fail. Each is a fault point at which an agent waits.
// Their names are those of the agents' states, of the journal's stage Locking and of the decision Committed.

export interface Step {
  readonly name: string;
  readonly role: 'source' | 'target';
  readonly point: string;
}

/** In the order of a move. */
export const steps: readonly Step[] = [
  { name: 'locking', role: 'source', point: 'source.lock.before' },
  { name: 'holding', role: 'source', point: 'source.hold.after' },
  { name: 'dumping', role: 'source', point: 'source.dump.before' },
  { name: 'transferring', role: 'source', point: 'source.transfer.before' },
  { name: 'restoring', role: 'target', point: 'target.prepare.after' },
  { name: 'at-resume-gate', role: 'target', point: 'target.decide.before' },
  { name: 'committed', role: 'target', point: 'target.decide.after' },
];

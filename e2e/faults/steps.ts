// SPDX-License-Identifier: Apache-2.0
// Where in a move something is made to fail: each step is a fault point of an agent, which waits there a while.
import { onNode } from '../src/lab.ts';

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

const FOLDER = '/var/lib/sealift/faults';

/** The program will wait that long at the point, or fail there, once. */
export async function arm(node: string, point: string, what: number | 'throw'): Promise<void> {
  const action = what === 'throw' ? what : `delay:${what}`;
  await onNode(node, `mkdir -p ${FOLDER} && echo ${action} > ${FOLDER}/${point}`);
}

/** Resolves as soon as the agent waits there. @throws CommandError after `seconds` */
export async function tripped(node: string, point: string, seconds: number): Promise<void> {
  const line = `for i in $(seq ${seconds * 10}); do [ -e ${FOLDER}/${point} ] || exit 0; sleep 0.1; done; exit 1`;
  await onNode(node, line, (seconds + 60) * 1000);
}

export async function disarm(nodes: readonly string[]): Promise<void> {
  for (const node of nodes) await onNode(node, `rm -rf ${FOLDER}`).catch(() => '');
}

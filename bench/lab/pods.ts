// SPDX-License-Identifier: Apache-2.0
// What the parts on the lab have in common: its nodes, and a pod that has memory and does nothing.
import { readyNodes } from '../../e2e/src/cluster.ts';

/** dd holds as much memory as it reads at once, until somebody reads its pipe. */
export const memory = (mib: number): readonly string[] => [
  ...['/bin/sh', '-c', `dd if=/dev/zero bs=${mib}M 2>/dev/null | sleep 1000000`],
];

/** @throws Error without two nodes that are Ready */
export async function twoNodes(): Promise<[string, string]> {
  const [one, other] = await readyNodes();
  if (one !== undefined && other !== undefined) return [one, other];
  throw new Error('Two nodes have to be Ready. Run make lab-up.');
}

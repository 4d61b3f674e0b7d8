// SPDX-License-Identifier: Apache-2.0
// First steps of a migration with a real API server.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { MigrationRequest } from '../../crds/src/index.ts';
import { migrationRequests } from '../../kube/src/index.ts';
import { unschedulableGraceMs } from '../src/target-pod/health.ts';
import type { Cluster } from './cluster.ts';

/** Waits until the target of a MigrationRequest exists. @returns its name */
export async function created(c: Cluster, name: string): Promise<string> {
  const { status } = await c.until(migrationRequests, name, {
    target: { podUID: expect.any(String) as string },
  });
  return status.target?.podName ?? '';
}

/** One of the nodes that a target may get, as the scheduler would choose it. */
export function aNodeOf(status: MigrationRequest['status']): string {
  const { nodeName, candidates = [] } = status?.target ?? {};
  return nodeName ?? candidates[0] ?? '';
}

/** Up to a target that waits at its create gate, the blackout begun. @returns the target's name */
export async function prepared(
  c: Cluster,
  name: string,
  podName: string,
  spec: object = {},
): Promise<string> {
  await c.migrate(name, podName, spec);
  const target = await created(c, name);
  const { status } = await c.client.get(migrationRequests, 'default', name);
  await c.bind(target, aNodeOf(status));
  await c.target(migrationRequests, name, { state: 'AtCreateGate' });
  await c.until(migrationRequests, name, {
    deadlines: { blackout: expect.any(String) as string },
  });
  return target;
}

/** The scheduler finds no room for a target, until the operator has given it up. */
export async function noRoom(c: Cluster, name: string, message: string): Promise<void> {
  const uid = (await c.pod(name))?.metadata.uid;
  for (let round = 0; round < 100; round++) {
    const pod = await c.pod(name);
    if (pod?.metadata.uid !== uid || pod?.metadata.deletionTimestamp !== undefined) return;
    const condition = {
      ...{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' },
      ...{ message: `${message} (${round})`, lastTransitionTime: '2016-01-01T00:00:00Z' },
    };
    await c.podStatus(name, { conditions: [condition] });
    await sleep(300);
    c.skippedMs += unschedulableGraceMs;
  }
}

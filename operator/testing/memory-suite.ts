// SPDX-License-Identifier: Apache-2.0
// Nodes that have too little memory for a pod, with a real API server.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  agentLease,
  annotations,
  formatNodeMemory,
  labels,
  neededBytes,
} from '../../crds/src/index.ts';
import { leases, microTime, migrationRequests, nodes, renewLease } from '../../kube/src/index.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { conditionsOf } from './objects.ts';
import { created } from './moving.ts';

const moves = migrationRequests;
const GIB = 2 ** 30;
const needs = { bytes: 2 * GIB };
const waiting = { state: 'Waiting', memory: needs } as const;

export function memorySuite(cluster: () => Cluster): void {
  describe('with agents that say how much memory their nodes have', { timeout: 60_000 }, () => {
    let c: Cluster;
    let renewals = 0;

    /** What an agent does each 15 s. @param available undefined: it is of an earlier version */
    const renew = async (node: string, available: number | undefined): Promise<void> => {
      const now = Date.now() + ++renewals;
      const memory = { available: available ?? 0, hugePages: new Map(), keepsImages: false };
      const said = { [annotations.memory]: formatNodeMemory(memory, microTime(now)) };
      const heartbeat = {
        ...{ namespace: 'sealift', name: agentLease.name(node), holder: node },
        ...{ durationSeconds: 90, labels: { [labels.agent]: 'true' } },
        ...(available !== undefined && { annotations: said }),
      };
      await renewLease(c.client, heartbeat, now);
    };
    const readyOf = async (name: string): Promise<string | undefined> =>
      conditionsOf((await c.find(moves, name))?.status?.conditions)['TargetReady'];
    /** Of a target that the scheduler has not bound: it is gone as soon as it is deleted. */
    const end = async (name: string): Promise<void> => {
      await c.client.merge(moves, 'default', name, { spec: { cancel: true } });
      await c.until(moves, name, { decision: { outcome: 'Aborted' } });
      await c.source(moves, name, { state: 'Resumed' });
      await c.until(moves, name, ended('Cancelled'));
    };

    beforeEach(() => renew('a', 0));
    beforeAll(async () => {
      c = cluster();
      await c.stopOperator();
      await c.addNode('m', 'rxe-1');
      for (const node of ['a', 'b', 'm']) await renew(node, 0);
      c.startOperator({ namespace: 'sealift' });
    });
    afterAll(async () => {
      for (const node of ['a', 'b', 'm'])
        await c.client.delete(leases, 'sealift', agentLease.name(node));
      await c.client.delete(nodes, '', 'm');
      await c.stopOperator();
      c.startOperator();
    });

    it('a pod that none has the memory for stays untouched, and nothing is created', async () => {
      await renew('b', GIB);
      await renew('m', GIB);
      const pod = await c.run('mem-none');
      await c.migrate('mem-none', 'mem-none');
      await c.until(moves, 'mem-none', { source: { nodeName: 'a' } });
      await c.source(moves, 'mem-none', waiting);
      await c.until(moves, 'mem-none', { decision: { outcome: 'Aborted' } });
      await c.source(moves, 'mem-none', { ...waiting, state: 'Resumed' });
      const { status } = await c.until(moves, 'mem-none', {
        ...ended('Failed'),
        ...failed('NotEnoughMemory'),
      });
      const text = status.conditions?.find(({ type }) => type === 'Succeeded')?.message;
      expect(text).toMatch(
        /node [bm] has 1 GiB \(1073741824 bytes\) .* need 2\.3 GiB \(2415919104 bytes\), and 1 more/,
      );
      expect([
        status.target?.podUID,
        status.deadlines?.blackout,
        status.report?.blackoutMs,
      ]).toEqual([undefined, undefined, undefined]);
      await c.untouched(pod);
    });

    it('a pod goes to the node that has it', async () => {
      await renew('b', GIB);
      await renew('m', neededBytes(needs.bytes));
      await c.run('mem-one');
      await c.migrate('mem-one', 'mem-one');
      await c.until(moves, 'mem-one', { target: { candidates: expect.any(Array) as unknown } });
      expect(await readyOf('mem-one')).toBe('Unknown Waiting');
      await c.source(moves, 'mem-one', waiting);
      const { status } = await c.until(moves, 'mem-one', {
        target: { nodeName: 'm', memory: needs, podUID: expect.any(String) as string },
      });
      expect(status.target).not.toHaveProperty('candidates');
      const made = await c.pod(status.target?.podName ?? '');
      expect(JSON.stringify(made?.spec.affinity)).toContain('"values":["m"]');
      await end('mem-one');
    });

    it('of two pods one has what there is for one, and the other waits for it', async () => {
      await renew('b', 0);
      await renew('m', neededBytes(needs.bytes) + GIB);
      const both = ['mem-1', 'mem-2'];
      for (const name of both) await c.run(name);
      for (const name of both) await c.migrate(name, name);
      for (const name of both) await c.until(moves, name, { source: { nodeName: 'a' } });
      await Promise.all(both.map((name) => c.source(moves, name, waiting)));
      const reserved = async (): Promise<string[]> => {
        const all = await Promise.all(both.map((name) => c.find(moves, name)));
        return all.flatMap((one) => (one?.status?.target?.memory ? one.metadata.name : []));
      };
      await eventually(async () => (await reserved()).length).toBe(1);
      const [first = ''] = await reserved();
      const second = both.find((one) => one !== first) ?? '';
      await eventually(() => readyOf(second)).toBe('Unknown NotEnoughMemory');
      await created(c, first);
      expect((await c.find(moves, second))?.status?.target?.podUID).toBeUndefined();
      await end(first);
      await c.until(moves, second, { target: { nodeName: 'm', memory: needs } });
      await created(c, second);
      await end(second);
    });

    it('a target that finds too little at the last look goes to another node', async () => {
      await renew('b', 8 * GIB);
      await renew('m', 8 * GIB);
      await c.run('mem-late');
      await c.migrate('mem-late', 'mem-late');
      await c.until(moves, 'mem-late', { source: { nodeName: 'a' } });
      await c.source(moves, 'mem-late', waiting);
      const name = await created(c, 'mem-late');
      await c.bind(name, 'b');
      const before = await c.until(moves, 'mem-late', { target: { nodeName: 'b', memory: needs } });
      const refuses = before.status.target?.podUID ?? '';
      const message = 'Node b has 1 GiB (1073741824 bytes) of memory available.';
      const refusal = { state: 'Preparing', reason: 'NotEnoughMemory', message, refuses } as const;
      await c.target(moves, 'mem-late', refusal);
      await c.podGone(name);
      const { status } = await c.until(moves, 'mem-late', {
        triedNodes: [{ nodeName: 'b', reason: 'NotEnoughMemory', message }],
        target: { nodeName: 'm', memory: needs, podUID: expect.any(String) as string },
      });
      expect([status.deadlines?.blackout, status.target?.podUID === refuses]).toEqual([
        undefined,
        false,
      ]);
      await end('mem-late');
    });

    it('an older agent that has renewed the Lease since says nothing: as before', async () => {
      for (const node of ['b', 'm']) {
        await renew(node, 0);
        await renew(node, undefined);
      }
      await c.run('mem-older');
      await c.migrate('mem-older', 'mem-older');
      await created(c, 'mem-older');
      await end('mem-older');
    });
  });
}

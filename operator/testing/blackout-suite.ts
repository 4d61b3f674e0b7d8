// SPDX-License-Identifier: Apache-2.0
// What the operator asks the API server within a blackout, with a real API server.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { podConditions } from '../../crds/src/index.ts';
import { migrationRequests, pods, type Api, type Resource } from '../../kube/src/index.ts';
import { clockAt } from '../../kube/testing/clock.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { prepared } from './moving.ts';

const verbs = ['get', 'getRaw', 'list', 'create', 'merge', 'jsonPatch', 'apply', 'delete'] as const;

/** Notes every request, watches aside. */
function recorded(api: Api, into: string[]): Api {
  return new Proxy(api, {
    get(target, property): unknown {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      const call = value.bind(target) as (...args: unknown[]) => unknown;
      if (!verbs.includes(property as (typeof verbs)[number])) return call;
      return (resource: Resource<unknown>, ...others: unknown[]) => {
        into.push(`${String(property)} ${resource.kind}`);
        return call(resource, ...others);
      };
    },
  });
}

export function blackoutSuite(cluster: () => Cluster): void {
  describe('in a blackout', { timeout: 60_000 }, () => {
    const asked: string[] = [];
    let c: Cluster;
    /** The operator's clock stands still there: it looks again after some time, which a slow machine may need. */
    let stoppedAt: number | undefined;
    const now = (): number => Date.now() + c.skippedMs;
    /** Until the operator has asked for nothing for a while. */
    const quiet = async (): Promise<void> => {
      for (let before = -1; before !== asked.length; await sleep(700)) before = asked.length;
    };

    beforeAll(async () => {
      c = cluster();
      await c.stopOperator();
      const clock = clockAt(() => stoppedAt ?? now());
      c.startOperator({ api: recorded(c.operator, asked), clock });
    });
    afterEach(() => void (stoppedAt = undefined));
    afterAll(async () => {
      await c.stopOperator();
      c.startOperator();
    });

    it('asks for nothing before the decision, and reads nothing until the target runs', async () => {
      await c.run('dark');
      const target = await prepared(c, 'dark', 'dark');
      stoppedAt = now();
      await quiet();
      asked.length = 0;
      for (const state of ['Holding', 'Dumping', 'Transferring', 'Sent'] as const) {
        await c.source(migrationRequests, 'dark', { state });
        await sleep(100);
      }
      for (const state of ['Receiving', 'Restoring', 'AtResumeGate'] as const) {
        await c.target(migrationRequests, 'dark', { state });
        // Its kubelet reports a container meanwhile.
        await c.podStatus(target, { phase: state === 'Restoring' ? 'Pending' : 'Running' });
        await sleep(100);
      }
      await quiet();
      expect(asked).toEqual([]);

      await c.commit(migrationRequests, 'dark');
      const committed = async (): Promise<string | undefined> =>
        (await c.pod(target))?.status.conditions.find((one) => one.type === podConditions.committed)
          ?.status;
      await eventually(committed).toBe('True');
      await c.target(migrationRequests, 'dark', { state: 'Answering' });
      await c.source(migrationRequests, 'dark', { state: 'Gone' });
      const ofPods = () => asked.filter((one) => one.endsWith(' Pod')).sort();
      await eventually(ofPods).toEqual(['apply Pod', 'merge Pod']);
      await quiet();
      expect(ofPods()).toEqual(['apply Pod', 'merge Pod']);
      expect(asked.filter((one) => /^(get|list)/.test(one))).toEqual([]);
      expect(asked.filter((one) => one.endsWith('Request'))).toEqual(['apply MigrationRequest']);
      stoppedAt = undefined;

      await c.target(migrationRequests, 'dark', { state: 'Running' });
      await c.until(migrationRequests, 'dark', ended('Succeeded'));
      await eventually(() => c.pod('dark')).toBeUndefined();
    });

    it('reads and acts at once when the user cancels', async () => {
      await c.run('stop');
      const target = await prepared(c, 'stop', 'stop');
      await c.source(migrationRequests, 'stop', { state: 'Holding' });
      await c.client.merge(migrationRequests, 'default', 'stop', { spec: { cancel: true } });
      const { status } = await c.until(migrationRequests, 'stop', {
        decision: expect.objectContaining({ outcome: 'Aborted', by: 'operator' }) as object,
      });
      expect(status.decision?.reason).toBe('Cancelled');
      await c.source(migrationRequests, 'stop', { state: 'Resumed' });
      await c.podGone(target);
      await c.until(migrationRequests, 'stop', failed('Cancelled'));
    });

    it('aborts at once when the target’s pod is deleted', async () => {
      await c.run('gap');
      const target = await prepared(c, 'gap', 'gap');
      await c.source(migrationRequests, 'gap', { state: 'Holding' });
      await c.client.delete(pods, 'default', target, { gracePeriodSeconds: 0 });
      const { status } = await c.until(migrationRequests, 'gap', {
        decision: expect.objectContaining({ outcome: 'Aborted', by: 'operator' }) as object,
      });
      expect(status.decision?.reason).toBe('TargetGone');
      await c.source(migrationRequests, 'gap', { state: 'Resumed' });
      await c.until(migrationRequests, 'gap', failed('TargetGone'));
    });
  });
}

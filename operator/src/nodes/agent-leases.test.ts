// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from 'vitest';
import { agentLease, annotations, labels } from '../../../crds/src/index.ts';
import {
  FakeClock,
  silent,
  type Api,
  type Clock,
  type WatchEvent,
} from '../../../kube/src/index.ts';
import { node } from '../../testing/objects.ts';
import { AgentLeases } from './agent-leases.ts';

describe('an agent', () => {
  let clock: FakeClock;
  /** By how much the operator's clock was set. */
  let set: number;
  let send: (event: WatchEvent) => void;
  let unlabelled: string[];
  let stop: AbortController;
  let agents: AgentLeases;
  let version = 1;
  let running: Promise<unknown>;

  const lease = (name: string, memory?: string): object => ({
    metadata: {
      ...{ name: `agent-${name}`, namespace: 'sealift', resourceVersion: String(++version) },
      annotations: memory === undefined ? {} : { [annotations.memory]: memory },
    },
    // The agent's clock is ten years behind.
    spec: { leaseDurationSeconds: 90, renewTime: '2016-01-01T00:00:00.000000Z' },
  });
  const isAlive = (name: string): boolean => agents.isAlive(name);

  beforeEach(async () => {
    clock = new FakeClock();
    set = 0;
    const own: Clock = {
      now: () => clock.now() + set,
      after: (ms, call) => clock.after(ms, call),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    };
    unlabelled = [];
    const events: WatchEvent[] = [];
    let wake = (): void => undefined;
    send = (event) => {
      events.push(event);
      wake();
    };
    const api = {
      list: () => Promise.resolve({ items: [lease('a')], resourceVersion: '1' }),
      async *watch(_resource: unknown, _version: string, { signal }: { signal: AbortSignal }) {
        while (!signal.aborted) {
          const next = events.shift();
          if (next) yield next;
          else
            await new Promise<void>(
              (resolve) => ((wake = resolve), (signal.onabort = () => resolve())),
            );
        }
      },
      merge: (_resource: unknown, _namespace: string, name: string, patch: unknown) => {
        expect(patch).toMatchObject({ metadata: { labels: { [labels.driverAbi]: null } } });
        unlabelled.push(name);
        return Promise.resolve();
      },
    } as unknown as Api;
    agents = new AgentLeases({ api, log: silent, clock: own, namespace: 'sealift' });
    stop = new AbortController();
    running = Promise.all([
      agents.informer.run(stop.signal),
      agents.sweep(() => [node('a'), node('b'), node('bare', { abi: null })], stop.signal),
    ]);
    await clock.advance(0);
    return async () => {
      stop.abort();
      await running;
    };
  });

  it('is alive as long as it renews its Lease, whatever its clock says', async () => {
    for (let seconds = 0; seconds < 300; seconds += 60) {
      expect(isAlive('a')).toBe(true);
      send({ type: 'MODIFIED', object: lease('a') });
      await clock.advance(60_000);
    }
    expect(unlabelled).not.toContain('a');
    await clock.advance(31_000);
    expect(isAlive('a')).toBe(false);
  });

  it('that has stopped loses its label, and is seen without it at once', async () => {
    await clock.advance(90_000);
    expect(agents.seen(node('a'))).toEqual(node('a'));
    await clock.advance(1);
    expect(agents.seen(node('a')).metadata.labels).toEqual({});
    await clock.advance(15_000);
    expect(unlabelled).toContain('a');
    expect(unlabelled, 'has no label').not.toContain('bare');
    send({ type: 'MODIFIED', object: lease('a') });
    await clock.advance(0);
    expect(agents.seen(node('a'))).toEqual(node('a'));
  });

  it.each([3_600_000, -3_600_000])(
    'is not taken for gone by a clock that is set by %i ms',
    async (ms) => {
      await clock.advance(60_000);
      set = ms;
      expect(isAlive('a')).toBe(true);
      await clock.advance(80_000);
      expect(isAlive('a')).toBe(true);
      expect(unlabelled).toEqual([]);
      await clock.advance(60_000);
      expect(isAlive('a'), 'it has renewed nothing since').toBe(false);
    },
  );

  it('tells the time of its node, from the first renewal on that was seen to happen', async () => {
    const behind = Date.parse('2016-01-01T00:00:00Z');
    expect(agents.timeOf('a'), 'when that one was written is not known').toBeUndefined();
    await clock.advance(10_000);
    send({ type: 'MODIFIED', object: lease('a') });
    await clock.advance(0);
    expect(agents.timeOf('a')).toBe(behind);
    await clock.advance(5_000);
    expect(agents.timeOf('a')).toBe(behind + 5_000);
    set = 3_600_000;
    expect(agents.timeOf('a'), 'the own clock was set').toBeUndefined();
    expect(agents.timeOf('none')).toBeUndefined();
  });

  it('says how much memory its node has, if it does', async () => {
    expect(agents.memoryOf('a'), 'of an earlier version').toBeUndefined();
    for (const bytes of [7, 8]) {
      send({
        type: 'MODIFIED',
        object: lease('a', `available=${bytes},renewed=2016-01-01T00:00:00.000000Z`),
      });
      await clock.advance(0);
      expect(agents.memoryOf('a')?.available).toBe(bytes);
    }
    expect(agents.memoryOf('none')).toBeUndefined();
  });

  it('without a Lease has the time of one, from the operator’s start', async () => {
    await clock.advance(agentLease.durationSeconds * 1000);
    expect(isAlive('b')).toBe(true);
    await clock.advance(1);
    expect(isAlive('b')).toBe(false);
    send({ type: 'ADDED', object: lease('b') });
    await clock.advance(0);
    expect(isAlive('b')).toBe(true);
    send({ type: 'DELETED', object: lease('b') });
    await clock.advance(0);
    expect(isAlive('b'), 'uninstalled').toBe(false);
  });
});

it('agents stay gone while the API server takes its time to remove their labels', async () => {
  const clock = new FakeClock();
  const tried: string[] = [];
  const api = {
    list: () => Promise.resolve({ items: [], resourceVersion: '1' }),
    async *watch(_resource: unknown, _version: string, { signal }: { signal: AbortSignal }) {
      await clock.sleep(1e9, signal);
    },
    // The longest time that a request may have: kube/src/rest.ts.
    merge: async (_resource: unknown, _namespace: string, name: string) => {
      tried.push(name);
      await clock.sleep(80_000);
      throw new Error('a webhook has not answered');
    },
  } as unknown as Api;
  const agents = new AgentLeases({ api, log: silent, clock, namespace: 'sealift' });
  const stop = new AbortController();
  const all = Array.from({ length: 10 }, (_, n) => node(`n${n}`));
  const running = [agents.informer.run(stop.signal), agents.sweep(() => all, stop.signal)];
  await clock.advance(agentLease.durationSeconds * 1000 + 1);
  const alive = new Set<number>();
  for (let second = 0; second < 1800; second++) {
    await clock.advance(1000);
    if (all.some((one) => agents.isAlive(one.metadata.name))) alive.add(second);
  }
  expect([...alive]).toEqual([]);
  expect(new Set(tried).size).toBe(10);
  stop.abort();
  await clock.advance(100_000);
  await Promise.all(running);
});

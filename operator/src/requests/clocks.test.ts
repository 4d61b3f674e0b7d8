// SPDX-License-Identifier: Apache-2.0
// Clocks of two machines are never compared: the leader before this one, the scheduler and the kubelets have others.
import { describe, expect, it } from 'vitest';
import { isFinished, type Condition } from '../../../crds/src/index.ts';
import {
  ApiError,
  EventRecorder,
  FakeClock,
  Informer,
  nodes,
  silent,
  type Api,
  type Parts,
  type Resource,
} from '../../../kube/src/index.ts';
import {
  accepted,
  at,
  checkpoint,
  container,
  decision,
  migration,
  node,
  NOW,
  pod,
  restore,
  stored,
  succeeded,
  target,
} from '../../testing/objects.ts';
import { checkpointParts } from '../checkpoint/reconcile.ts';
import { migrationParts } from '../migration/reconcile.ts';
import type { AgentLeases } from '../nodes/agent-leases.ts';
import { restoreParts } from '../restore/reconcile.ts';
import { Dependencies } from './dependencies.ts';

const HOUR = 3_600_000;
type Stored = { kind?: string; metadata: { name: string } };
type Effect = { readonly type: string; readonly reason: string };
type Status = { readonly conditions?: readonly Condition[] };
const names = { migration: 'move', restore: 'again', checkpoint: 'saved' };

/** A process that begins to lead. */
class Leader {
  readonly clock: FakeClock;
  readonly #dependencies: Dependencies;
  /** What is in the API. */
  objects: readonly Stored[];
  /** What a list of requests has. */
  listed: readonly Stored[] = [];

  /** @param aheadMs of its clock, of those of the leader before it and of the nodes */
  constructor(aheadMs: number, ...objects: Stored[]) {
    const clock = new FakeClock(NOW + aheadMs);
    this.clock = clock;
    this.objects = objects;
    const api = {
      get: ({ kind }: Resource<unknown>, _namespace: string, name: string) => {
        const isIt = (one: Stored): boolean =>
          one.metadata.name === name && (one.kind ?? 'Pod') === kind;
        const found = this.objects.find(isIt);
        if (found) return Promise.resolve(found);
        return Promise.reject(new ApiError(404, 'NotFound', `no ${kind} ${name}`));
      },
      list: ({ kind }: Resource<unknown>) =>
        Promise.resolve({ items: this.listed.filter((one) => one.kind === kind) }),
    } as unknown as Api;
    const cache = new Informer({ api, resource: nodes, log: silent });
    cache.list = () => [node('a'), node('b'), node('bare', { address: null })];
    const agents = {
      ...{ seen: (one: unknown) => one, timeOf: () => NOW },
      memoryOf: () => undefined,
    } as unknown as AgentLeases;
    const events = new EventRecorder({ api, log: silent, component: 'test' });
    this.#dependencies = new Dependencies({ api, clock, nodes: cache, events, agents });
  }

  #hasEnded(name: string): boolean {
    const { status } = this.objects.find((one) => one.metadata.name === name) as {
      status?: Status;
    };
    return isFinished({ status: { conditions: [...(status?.conditions ?? [])] } });
  }

  /** What it does next; of an abort and of an end the reason. */
  async plans(kind: keyof typeof names): Promise<string[]> {
    const parts = {
      migration: () => migrationParts(this.#dependencies),
      restore: () => restoreParts(this.#dependencies),
      checkpoint: () => checkpointParts(this.#dependencies),
    }[kind]() as unknown as Parts<unknown, Effect, Status>;
    const context = { signal: new AbortController().signal, log: silent };
    const observed = await parts.observe(`default/${names[kind]}`, context);
    const { status, effects } = parts.decide(observed, this.clock.now());
    const found = status?.conditions?.find((one) => one.type === 'Succeeded');
    const end = this.#hasEnded(names[kind]) ? undefined : found;
    return [
      ...effects.map((one) => (one.type === 'ProposeAbort' ? one.reason : one.type)),
      ...(end?.status === 'False' || end?.status === 'True' ? [end.reason] : []),
    ];
  }
}

const condition = (type: string, status: string, seconds: number): object => ({
  ...{ type, status, reason: type, message: '', lastTransitionTime: at(seconds) },
});
const waiting = target('request-uid');
const moved = target('request-uid', { metadata: { labels: {} } });
const committed = (more: object): Stored => accepted({ decision: decision('Committed'), ...more });
const over = { completionTime: at(-10), conditions: [succeeded('True', 'Moved')] };
const kept = { metadata: { finalizers: [] }, spec: { ttlSecondsAfterFinished: 600 } };
const saved = { startTime: at(0), nodeName: 'a', podUID: 'pod-uid', deadline: at(100) };

describe.each([
  ['is an hour ahead', HOUR],
  ['is an hour behind', -HOUR],
  ['is the same', 0],
])('a new leader whose clock %s', (_name, aheadMs) => {
  it.each<[string, keyof typeof names, Stored[], number, string[]]>([
    ['prepare', 'migration', [accepted(), pod(), waiting], 300_000, ['PrepareDeadlineExceeded']],
    [
      'blackout',
      'migration',
      [
        accepted({
          targetAgent: { state: 'AtCreateGate' },
          deadlines: { prepare: at(300), blackout: at(100) },
        }),
        ...[pod(), waiting],
      ],
      100_000,
      ['BlackoutDeadlineExceeded'],
    ],
    [
      'confirmation',
      'migration',
      [committed({ deadlines: { confirmation: at(310) } }), moved],
      300_000,
      ['ReleaseTarget', 'RemoveFinalizer', 'TargetLost'],
    ],
    [
      'the last look',
      'migration',
      [
        committed({
          targetAgent: { state: 'Running' },
          deadlines: { confirmation: at(310), lastLook: at(43) },
        }),
        moved,
      ],
      2_999,
      ['ReleaseTarget', 'RemoveFinalizer', 'Moved'],
    ],
    [
      'prepare',
      'restore',
      [
        restore({
          status: {
            ...{ startTime: at(0), source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' } },
            target: { nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' },
            deadlines: { prepare: at(300) },
          },
        }),
        waiting,
      ],
      300_000,
      ['PrepareDeadlineExceeded'],
    ],
    [
      'its deadline',
      'checkpoint',
      [checkpoint({ status: saved }), pod()],
      160_000,
      ['CheckpointFailed'],
    ],
    [
      'its time after the end',
      'migration',
      [accepted({ ...over, decision: decision('Committed') }, kept)],
      599_999,
      ['DeleteRequest'],
    ],
    [
      'its time after the end',
      'restore',
      [restore({ ...kept, status: over })],
      599_999,
      ['DeleteRequest'],
    ],
    [
      'its time after the end',
      'checkpoint',
      [stored(over, { ...kept, metadata: { ...kept.metadata, uid: 'saved-uid' } })],
      599_999,
      ['DeleteRequest'],
    ],
    [
      'the time of a node without agent',
      'checkpoint',
      [
        checkpoint({
          metadata: { deletionTimestamp: at(0) },
          status: {
            ...{ ...saved, nodeName: 'bare' },
            conditions: [condition('ImagesRemoved', 'False', 10)],
          },
        }),
      ],
      599_999,
      ['RemoveFinalizer'],
    ],
  ])('gives %s of a %s its whole time again', async (...row) => {
    const [what, kind, objects, ms, end] = row;
    const leader = new Leader(aheadMs, ...objects);
    expect(await leader.plans(kind)).toEqual([]);
    await leader.clock.advance(ms);
    expect(await leader.plans(kind), what).toEqual([]);
    await leader.clock.advance(1);
    expect(await leader.plans(kind)).toEqual(end);
  });
});

it('a new leader whose clock is behind keeps the newest checkpoint', async () => {
  const spec = { retention: { keepLast: 1 } };
  const taken = (name: string, second: number, completionTime: string): Stored =>
    stored(
      {
        completionTime,
        agent: { state: 'Stored', steps: [{ name: 'hold', startTime: at(second) }] },
      },
      { spec, metadata: { name, uid: name } },
    );
  // The older one has ended under a leader whose clock was an hour ahead.
  const [older, newer] = [taken('older', -20, at(3600)), taken('saved', -10, at(0))];
  const leader = new Leader(0, older, newer);
  leader.listed = [older, newer];
  expect(await leader.plans('checkpoint')).toEqual([]);
  leader.objects = [{ ...older, metadata: { ...older.metadata, name: 'saved' } }];
  expect(await leader.plans('checkpoint')).toEqual(['DeleteRequest']);
});

describe('a leader', () => {
  it('keeps its own deadlines as they are', async () => {
    const leader = new Leader(0, migration(), pod());
    expect(await leader.plans('migration')).toEqual(['CreateTarget']);
    leader.objects = [accepted(), pod(), waiting];
    await leader.clock.advance(200_000);
    expect(await leader.plans('migration')).toEqual([]);
    await leader.clock.advance(100_001);
    expect(await leader.plans('migration')).toEqual(['PrepareDeadlineExceeded']);
  });

  it.each([
    ['behind', -3600],
    ['ahead', 3600],
  ])('gives a scheduler whose clock is %s its time', async (_name, seconds) => {
    const full = { ...condition('PodScheduled', 'False', seconds), reason: 'Unschedulable' };
    const spec = { nodeName: '' };
    const leader = new Leader(
      0,
      ...[accepted(), pod(), target('request-uid', { spec, status: { conditions: [full] } })],
    );
    expect(await leader.plans('migration')).toEqual([]);
    await leader.clock.advance(14_999);
    expect(await leader.plans('migration')).toEqual([]);
    await leader.clock.advance(1);
    expect(await leader.plans('migration')).toEqual(['TargetUnschedulable']);
  });

  it.each([
    ['ten minutes behind', -600_000, at(-60), ['CreateTarget']],
    ['ten minutes ahead', 600_000, at(-1), ['ContainerCrashLooping']],
  ])('whose clock is %s knows for how long a container has run', async (...row) => {
    const [, aheadMs, startedAt, wanted] = row;
    const ready = { ready: true, started: true, restartCount: 1 };
    const containerStatuses = [container({ running: { startedAt } }, ready)];
    const leader = new Leader(aheadMs, migration(), pod({ status: { containerStatuses } }));
    expect((await leader.plans('migration')).filter((one) => one !== 'RemoveFinalizer')).toEqual(
      wanted,
    );
  });
});

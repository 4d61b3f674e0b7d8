// SPDX-License-Identifier: Apache-2.0
// The specification of the CheckpointRequest controller, as tables.
import { describe, expect, it } from 'vitest';
import { annotations } from '../../../crds/src/index.ts';
import {
  at,
  checkpoint,
  conditionsOf,
  migration,
  node,
  NOW,
  pod,
  stored,
  type RequestParts,
} from '../../testing/objects.ts';
import { abandonMs, decideCheckpoint } from './decide.ts';
import type { CheckpointPlan, Observed } from './types.ts';

const template = { metadata: { labels: {}, annotations: {} }, spec: { containers: [] } };

function see(parts: Partial<Observed> = {}): Observed {
  return {
    request: checkpoint(),
    pod: pod(),
    nodeTime: NOW,
    template,
    others: [],
    nodes: [node('a')],
    finished: { since: NOW - 10_000 },
    inUse: false,
    newer: 0,
    ...parts,
  };
}
const effects = (plan: CheckpointPlan): string[] => plan.effects.map((one) => one.type);
const summary = (plan: CheckpointPlan): string | undefined =>
  conditionsOf(plan.status?.conditions)['Succeeded'];
const message = (plan: CheckpointPlan): string | undefined =>
  plan.status?.conditions?.find((one) => one.type === 'Succeeded')?.message;

describe('a new request', () => {
  it('gets its finalizer first', () => {
    const plan = decideCheckpoint(
      see({ request: checkpoint({ metadata: { finalizers: [] } }) }),
      NOW,
    );
    expect(effects(plan)).toEqual(['AddFinalizer']);
  });

  it('records the pod, the deadline, the pod’s template and its CPU’s features in the status', () => {
    const plan = decideCheckpoint(see({ nodes: [node('a', { cpu: 'avx' })] }), NOW);
    expect(plan.status).toMatchObject({
      phase: 'Checkpointing',
      nodeName: 'a',
      podUID: 'pod-uid',
      checkpointId: 'request-uid',
      deadline: at(100),
      podTemplate: template,
      cpuFeatures: 'avx',
    });
    expect(plan.effects).toEqual([]);
  });

  it('is accepted for a Spark driver: a checkpoint deletes nothing', () => {
    const driver = pod({ metadata: { labels: { 'spark-role': 'driver' } } });
    expect(decideCheckpoint(see({ pod: driver }), NOW).status?.phase).toBe('Checkpointing');
  });

  it('is accepted on a cordoned node', () => {
    const plan = decideCheckpoint(see({ nodes: [node('a', { cordoned: true })] }), NOW);
    expect(plan.status?.phase).toBe('Checkpointing');
  });

  it.each<[string, string, RegExp, Partial<Observed>]>([
    ['no pod', 'PodNotFound', /no pod p/, { pod: undefined, template: undefined }],
    ['a pending pod', 'PodNotRunning', /Pending/, { pod: pod({ status: { phase: 'Pending' } }) }],
    [
      'a controller, which would count a restored pod too',
      'PodHasController',
      /Job j/,
      {
        pod: pod({
          metadata: { ownerReferences: [{ kind: 'Job', name: 'j', uid: 'u', controller: true }] },
        }),
      },
    ],
    [
      'a node without an agent',
      'SourceNodeUnavailable',
      /no working/,
      { nodes: [node('a', { abi: null })] },
    ],
    [
      'a node that is not Ready',
      'SourceNodeUnavailable',
      /not Ready/,
      { nodes: [node('a', { ready: false })] },
    ],
    [
      'a migration under way',
      'AnotherMigration',
      /MigrationRequest move/,
      {
        others: [
          migration({
            metadata: { uid: 'm', creationTimestamp: at(9) },
            status: { source: { nodeName: 'a' } },
          }),
        ],
      },
    ],
    [
      'peers with too short a retry budget',
      'PeerRetryBudgetTooShort',
      /655.36 ms/,
      { pod: pod({ metadata: { annotations: { [annotations.peerRnrRetry]: '1' } } }) },
    ],
    [
      'networks that cannot be read',
      'UnsupportedPod',
      /bad/,
      { template: { reason: 'UnsupportedPod', message: 'bad' } },
    ],
  ])('is refused: %s', (_name, reason, text, parts) => {
    const plan = decideCheckpoint(see(parts), NOW);
    expect(plan.effects).toEqual([]);
    expect(summary(plan)).toBe(`False ${reason}`);
    expect(message(plan)).toMatch(text);
    expect(plan.status?.phase).toBe('Failed');
    expect(plan.status?.podUID).toBeUndefined();
  });
});

describe('an accepted request', () => {
  const busy = (agent?: object): Observed =>
    see({
      request: checkpoint({
        status: {
          startTime: at(0),
          nodeName: 'a',
          podUID: 'pod-uid',
          checkpointId: 'request-uid',
          deadline: at(100),
          podTemplate: template,
          ...(agent ? { agent } : {}),
        },
      }),
      // The pod may end before or after the images are stored.
      pod: undefined,
      template: undefined,
    });

  it('keeps what it was accepted with', () => {
    const plan = decideCheckpoint(busy({ state: 'Dumping' }), NOW);
    expect(plan.status).toMatchObject({
      deadline: at(100),
      podTemplate: template,
      podUID: 'pod-uid',
    });
    expect(conditionsOf(plan.status?.conditions)).toMatchObject({ Quiesced: 'True Held' });
  });

  it('succeeds when the images are stored', () => {
    const bytes = { pages: 5 };
    const size = 4711;
    const agent = { state: 'Stored', path: '/images/1', digest: 'sha256:1', bytes, size };
    const plan = decideCheckpoint(busy(agent), NOW);
    expect(summary(plan)).toBe('True CheckpointStored');
    expect(plan.status).toMatchObject({
      phase: 'Succeeded',
      location: 'a:/images/1',
      digest: 'sha256:1',
      bytes,
      size,
    });
    const { Failed: _opposite, ...others } = conditionsOf(plan.status?.conditions);
    expect(Object.values(others).filter((one) => !one.startsWith('True'))).toEqual([]);
  });

  it.each([
    [
      'with the agent’s reason',
      { state: 'Failed', reason: 'UnsupportedObject', message: 'an SRQ' },
      'UnsupportedObject',
    ],
    ['with CheckpointFailed if the agent gives no reason', { state: 'Failed' }, 'CheckpointFailed'],
  ])('fails %s', (_name, agent, reason) => {
    expect(summary(decideCheckpoint(busy(agent), NOW))).toBe(`False ${reason}`);
  });

  it('waits for a silent node until a minute after the deadline', () => {
    expect(decideCheckpoint(busy(), NOW + 160_000).status?.phase).toBe('Checkpointing');
    const plan = decideCheckpoint(busy(), NOW + 160_001);
    expect(summary(plan)).toBe('False CheckpointFailed');
    expect(message(plan)).toMatch(/Node a/);
  });
});

describe('a finished request', () => {
  const kept = (parts: RequestParts = {}, status: Record<string, unknown> = {}): Observed =>
    see({ request: stored(status, parts) });

  it('is kept, or deleted after spec.retention.ttlSeconds', () => {
    expect(decideCheckpoint(kept(), NOW + 1e9)).toEqual({ status: undefined, effects: [] });
    const ttl = kept({ spec: { retention: { ttlSeconds: 60 } } });
    expect(decideCheckpoint(ttl, NOW).requeueAfterMs).toBe(50_000);
    expect(effects(decideCheckpoint(ttl, NOW + 50_000))).toEqual(['DeleteRequest']);
    const read = decideCheckpoint({ ...ttl, inUse: true }, NOW + 50_000);
    expect([read.effects, read.requeueAfterMs]).toEqual([[], 15_000]);
  });

  it('says since when it is kept, once, and only if it is not kept for good', () => {
    const seen = [{ nodeName: 'n', time: at(-10) }];
    const finished = { since: NOW - 10_000, seen };
    const ttl = { ...kept({ spec: { retention: { ttlSeconds: 60 } } }), finished };
    const plan = decideCheckpoint(ttl, NOW);
    expect(plan).toMatchObject({ effects: [], requeueAfterMs: 50_000 });
    expect({ ...ttl.request.status, ...plan.status }).toEqual({
      ...ttl.request.status,
      finishedSeen: seen,
    });
    expect(decideCheckpoint({ ...ttl, finished: { since: 0 } }, 1).status).toBeUndefined();
    expect(decideCheckpoint({ ...kept(), finished }, NOW).status).toBeUndefined();
    const lost = { state: 'Stored', reason: 'ImageKeyMissing', message: 'Key 1 is gone.' };
    const both = kept({ spec: { retention: { ttlSeconds: 60 } } }, { agent: lost });
    const { status } = decideCheckpoint({ ...both, finished }, NOW);
    expect(status).toMatchObject({ finishedSeen: seen, completionTime: at(-10) });
    expect(conditionsOf(status?.conditions)).toHaveProperty('Restorable');
  });

  it('is deleted when enough newer ones have succeeded and no RestoreRequest reads it', () => {
    const keep = kept({ spec: { retention: { keepLast: 2 } } });
    expect(effects(decideCheckpoint({ ...keep, newer: 1 }, NOW + 1e9))).toEqual([]);
    expect(effects(decideCheckpoint({ ...keep, newer: 2 }, NOW))).toEqual(['DeleteRequest']);
    const read = decideCheckpoint({ ...keep, newer: 2, inUse: true }, NOW);
    expect([read.effects, read.requeueAfterMs]).toEqual([[], 15_000]);
    const both = kept({ spec: { retention: { keepLast: 2, ttlSeconds: 60 } } });
    expect(decideCheckpoint(both, NOW).requeueAfterMs).toBe(50_000);
    expect(effects(decideCheckpoint(both, NOW + 50_000))).toEqual(['DeleteRequest']);
  });

  it('says that its images cannot be read, once, and no more when they can be read again', () => {
    const lost = { state: 'Stored', reason: 'ImageKeyMissing', message: 'Key 1 is gone.' };
    const observed = kept({ spec: { retention: { ttlSeconds: 60 } } }, { agent: lost });
    const plan = decideCheckpoint(observed, NOW);
    expect(conditionsOf(plan.status?.conditions)).toMatchObject({
      Restorable: 'False ImageKeyMissing',
      Succeeded: 'True CheckpointStored',
    });
    // The operator writes nothing else anew.
    expect({ ...observed.request.status, ...plan.status, conditions: undefined }).toEqual({
      ...observed.request.status,
      conditions: undefined,
    });
    expect(plan.requeueAfterMs).toBe(50_000);
    const status = { ...observed.request.status, ...plan.status };
    const next = { ...observed, request: { ...observed.request, status } };
    expect(decideCheckpoint(next, NOW + 1000).status).toBeUndefined();
    const agent = { state: 'Stored' } as const;
    const back = { ...next, request: { ...next.request, status: { ...status, agent } } };
    const conditions = conditionsOf(decideCheckpoint(back, NOW).status?.conditions);
    expect(Object.keys(conditions)).toEqual(['Succeeded']);
  });

  const deleted = { metadata: { deletionTimestamp: at(0) } };

  it('loses its finalizer when its images are removed', () => {
    expect(decideCheckpoint(kept(deleted), NOW).effects).toEqual([]);
    expect(decideCheckpoint(kept(deleted), NOW).requeueAfterMs).toBeGreaterThan(0);
    const removed = kept(deleted, { agent: { state: 'Removed' } });
    expect(effects(decideCheckpoint(removed, NOW))).toEqual(['RemoveFinalizer']);
    const nodeGone = { ...kept(deleted), nodes: [node('b')] };
    expect(effects(decideCheckpoint(nodeGone, NOW))).toEqual(['RemoveFinalizer']);
  });

  it('is deleted after spec.ttlSecondsAfterFinished, or after the retention if that is shorter', () => {
    const ttl = kept({ spec: { ttlSecondsAfterFinished: 60 } });
    expect(decideCheckpoint(ttl, NOW).requeueAfterMs).toBe(50_000);
    expect(effects(decideCheckpoint(ttl, NOW + 50_000))).toEqual(['DeleteRequest']);
    const both = kept({ spec: { ttlSecondsAfterFinished: 60, retention: { ttlSeconds: 30 } } });
    expect(decideCheckpoint(both, NOW).requeueAfterMs).toBe(20_000);
  });

  it.each<[string, Parameters<typeof node>[1], RegExp]>([
    ['is not Ready', { ready: false }, /on node a, which is not Ready\. .* 10 minutes/],
    ['has no driver label', { abi: null }, /which has no working Sealift agent/],
    ['has no agent address', { address: null }, /remove \S+\/checkpoints\/saved-uid there/],
  ])('does not wait for ever for a node that %s', (_name, parts, text) => {
    const observed = { ...kept(deleted), nodes: [node('a', parts)] };
    const plan = decideCheckpoint(observed, NOW);
    const named = plan.status?.conditions?.find((one) => one.type === 'ImagesRemoved');
    expect([named?.status, named?.reason]).toEqual(['False', 'NodeUnavailable']);
    expect(named?.message).toMatch(text);
    expect(plan).toMatchObject({ effects: [], requeueAfterMs: 15_000 });
    const status = { ...observed.request.status, ...plan.status };
    const next = { ...observed, request: { ...observed.request, status } };
    expect(effects(decideCheckpoint(next, NOW + abandonMs - 1))).toEqual([]);
    expect(effects(decideCheckpoint(next, NOW + abandonMs))).toEqual(['RemoveFinalizer']);
    const back = decideCheckpoint({ ...next, nodes: [node('a')] }, NOW + abandonMs);
    expect(back.effects, 'the agent has come back').toEqual([]);
    expect(conditionsOf(back.status?.conditions)['ImagesRemoved']).toBe('Unknown RemovingImages');
  });

  const removing = (agent: object) => {
    const observed = kept(deleted, { agent: { state: 'Stored', ...agent } });
    const plan = decideCheckpoint(observed, NOW);
    const named = plan.status?.conditions?.find((one) => one.type === 'ImagesRemoved');
    const status = { ...observed.request.status, ...plan.status };
    return { plan, named, next: { ...observed, request: { ...observed.request, status } } };
  };

  it.each<[string, object, string, RegExp]>([
    [
      'says nothing',
      {},
      'Unknown RemovingImages',
      /^The agent of node a removes the images\. After 10 minutes .* when it can\.$/,
    ],
    [
      'says that it cannot',
      { notRemoved: 'The disk is read-only.' },
      'False ImagesNotRemoved',
      /^The disk is read-only\. After 10 minutes/,
    ],
    [
      'had said that their key is gone',
      { reason: 'ImageKeyMissing', message: 'No key.' },
      'Unknown RemovingImages',
      /^The agent of node a removes/,
    ],
  ])('does not wait for ever for a live agent that %s', (_name, agent, is, text) => {
    const { plan, named, next } = removing(agent);
    expect(`${named?.status} ${named?.reason}`).toBe(is);
    expect(named?.message).toMatch(text);
    expect(plan).toMatchObject({ effects: [], requeueAfterMs: 15_000 });
    expect(effects(decideCheckpoint(next, NOW + abandonMs - 1))).toEqual([]);
    expect(effects(decideCheckpoint(next, NOW + abandonMs))).toEqual(['RemoveFinalizer']);
  });

  it('that was refused has no images', () => {
    const refused = see({ request: checkpoint({ ...deleted, status: { phase: 'Failed' } }) });
    expect(effects(decideCheckpoint(refused, NOW))).toEqual(['RemoveFinalizer']);
  });
});

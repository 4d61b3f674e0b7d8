// SPDX-License-Identifier: Apache-2.0
// Which MigrationRequests are taken on, and which are refused with what reason.
import { describe, expect, it } from 'vitest';
import { annotations, MigrationPolicy } from '../../../crds/src/index.ts';
import type { Node } from '../../../kube/src/index.ts';
import { effects, message, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  checkpoint,
  conditionsOf,
  migration,
  node,
  NOW,
  pod,
  succeeded,
  type RequestParts,
} from '../../testing/objects.ts';
import { decideMigration } from './decide.ts';
import type { MigrationPlan, Observed } from './types.ts';
import { chooseAnother } from './validate.ts';

describe('a new request', () => {
  it('gets its finalizer before anything else', () => {
    const plan = decideMigration(
      see({ request: migration({ metadata: { finalizers: [] } }) }),
      NOW,
    );
    expect(effects(plan)).toEqual(['AddFinalizer']);
    expect(plan.status).toMatchObject({ phase: 'Pending', startTime: at(0) });
  });

  it('is accepted: nodes and deadline into the status first, then the target', () => {
    const plan = decideMigration(see(), NOW);
    expect(plan.status).toMatchObject({
      phase: 'Preparing',
      source: {
        ...{ nodeName: 'a', podName: 'p', podUID: 'pod-uid', agentAddress: 'a:7461' },
        restarts: 0,
      },
      target: { nodeName: 'b', podName: 'p-reque', agentAddress: 'b:7461' },
      deadlines: { prepare: at(300) },
    });
    expect(plan.status?.target?.podUID).toBeUndefined();
    expect(plan.effects).toEqual([{ type: 'CreateTarget', nodeNames: ['b'], podName: 'p-reque' }]);
    expect(conditionsOf(plan.status?.conditions)).toMatchObject({
      Validated: 'True Accepted',
      Succeeded: 'Unknown Accepted',
    });
  });

  describe('of a pod with addresses of both families', () => {
    const podIPs = [{ ip: '10.88.1.5' }, { ip: 'fd88::5' }];
    const keeping = (name: string, families?: string): Node => {
      const one = node(name);
      const own = {
        [annotations.podNetwork]: 'sealift/sealift-pods',
        ...(families ? { [annotations.podNetworkFamilies]: families } : {}),
      };
      return {
        ...one,
        metadata: { ...one.metadata, annotations: { ...one.metadata.annotations, ...own } },
      };
    };
    const decided = (nodes: Node[], spec: Record<string, unknown> = {}, own: object[] = podIPs) =>
      decideMigration(
        see({ nodes, request: migration({ spec }), sourcePod: pod({ status: { podIPs: own } }) }),
        NOW,
      );
    const [a, b, c] = [keeping('a', 'IPv4,IPv6'), keeping('b', 'IPv4'), keeping('c', 'IPv4,IPv6')];

    it('is refused for a node whose network lacks one, by name', () => {
      const plan = decided([a, b, c], { targetNodeName: 'b' });
      expect(summary(plan)).toBe('False NoCompatibleNode');
      expect(message(plan)).toMatch(/^Node b gives pods no IPv6 address.*fd88::5/);
      expect(message(decided([a, b]))).toMatch(/node b gives pods no IPv6 address.*fd88::5/);
      expect(effects(decided([a, b]))).not.toContain('CreateTarget');
    });

    it('goes to another node, or to one that does not say', () => {
      expect(decided([a, b, c]).status?.target).toMatchObject({ nodeName: 'c', podIPs });
      expect(decided([a, keeping('b')]).status?.target).toMatchObject({ nodeName: 'b', podIPs });
    });

    it('goes to any node if it keeps no address, and by one family if it has only that', () => {
      expect(decided([node('a'), b]).status?.target?.nodeName).toBe('b');
      const one = [{ ip: '10.88.1.5' }];
      expect(decided([a, b], {}, one).status?.target).toMatchObject({ podIPs: one });
      expect(message(decided([a, keeping('b', 'IPv6')], {}, one))).toMatch(/no IPv4 address/);
    });
  });

  describe('of a pod that a policy moves away from tainted nodes', () => {
    const taint = { key: 'reboot', value: '', effect: 'PreferNoSchedule' };
    const tainted = (name: string): Node => {
      const one = node(name);
      return { ...one, spec: { ...one.spec, taints: [taint] } };
    };
    const policy = MigrationPolicy.parse({
      metadata: { name: 'reboots' },
      spec: { nodes: { taints: [{ key: 'reboot' }] } },
    });
    const nodes = [tainted('a'), tainted('b'), node('c')];

    it('does not go from one to the next', () => {
      expect(decideMigration(see({ nodes, policy }), NOW).status?.target?.nodeName).toBe('c');
      const plan = decideMigration(see({ nodes: nodes.slice(0, 2), policy }), NOW);
      expect(summary(plan)).toBe('False NoCompatibleNode');
      expect(message(plan)).toMatch(/node b .*MigrationPolicy reboots/);
      expect(decideMigration(see({ nodes }), NOW).status?.target?.candidates).toEqual(['b', 'c']);
    });

    it('goes where its user says', () => {
      const request = migration({ spec: { targetNodeName: 'b' } });
      const plan = decideMigration(see({ nodes, policy, request }), NOW);
      expect(plan.status?.target?.nodeName).toBe('b');
    });

    it('does not go there either once another node has refused it', () => {
      const target = { nodeName: 'd', podName: 'p-reque' };
      const request = accepted({ target });
      const without = new Set(['d']);
      const observed = see({ nodes: [...nodes, node('d')], policy, request });
      expect(chooseAnother(observed, without, false)).toMatchObject([{ metadata: { name: 'c' } }]);
    });
  });

  it('records peers with a retry limit, and no others', () => {
    const peers = (podAnnotations: object) =>
      decideMigration(see({ sourcePod: pod({ metadata: { annotations: podAnnotations } }) }), NOW)
        .status?.peers;
    expect(peers({ [annotations.peerRnrRetry]: '6' })).toEqual({
      ...{ rnrRetry: 6, rnrTimer: 0, retryBudgetMs: 3932.16 },
    });
    expect(peers({ [annotations.peerRnrRetry]: '7', [annotations.rnrTimer]: '1' })).toBeUndefined();
  });

  it('that is deleted or cancelled at once changes nothing', () => {
    for (const parts of [
      { metadata: { deletionTimestamp: at(0) } },
      { spec: { cancel: true } },
    ] satisfies RequestParts[]) {
      const plan = decideMigration(see({ request: migration(parts) }), NOW);
      expect(effects(plan)).toEqual(['RemoveFinalizer']);
      expect(plan.status).toMatchObject({ phase: 'Cancelled', completionTime: at(0) });
      expect(summary(plan)).toBe('False Cancelled');
    }
    const gone = migration({ metadata: { deletionTimestamp: at(0), finalizers: [] } });
    expect(decideMigration(see({ request: gone }), NOW)).toEqual({
      status: undefined,
      effects: [],
    });
  });

  const competing = (metadata: object, status?: object): Observed['others'][number] =>
    migration({
      metadata: { name: 'other', uid: 'other-uid', ...metadata },
      status: status as Record<string, unknown> | undefined,
    });
  const source = { nodeName: 'a' };

  it.each<[string, string, RegExp, Partial<Observed>]>([
    ['no such pod', 'PodNotFound', /no pod p/, { sourcePod: undefined }],
    [
      'another runtime class',
      'NotSealiftRuntime',
      /Create the pod with runtimeClassName: sealift/,
      { sourcePod: pod({ spec: { runtimeClassName: 'runc' } }) },
    ],
    [
      'peers that give up before anything could be done',
      'PeerRetryBudgetTooShort',
      /retry for 655.36 ms .* at least 1200 ms/,
      { sourcePod: pod({ metadata: { annotations: { [annotations.peerRnrRetry]: '1' } } }) },
    ],
    [
      'peers that would do with a smaller margin',
      'PeerRetryBudgetTooShort',
      /1500 ms are spec.timeouts.peerMarginMs/,
      {
        request: migration({ spec: { timeouts: { peerMarginMs: 1500 } } }),
        sourcePod: pod({ metadata: { annotations: { [annotations.peerRnrRetry]: '2' } } }),
      },
    ],
    [
      'an annotation that cannot be read',
      'BadAnnotation',
      /sealift.dev\/rnr-timer must be a whole number from 0 to 31, not "long"/,
      { sourcePod: pod({ metadata: { annotations: { [annotations.rnrTimer]: 'long' } } }) },
    ],
    [
      'the node that the pod is on',
      'TargetIsSource',
      /name another one/,
      { request: migration({ spec: { targetNodeName: 'a' } }) },
    ],
    [
      'a node that does not exist',
      'TargetNodeNotFound',
      /no node c/,
      { request: migration({ spec: { targetNodeName: 'c' } }) },
    ],
    [
      'a node that is not Ready',
      'TargetNodeNotReady',
      /b is not Ready/,
      {
        request: migration({ spec: { targetNodeName: 'b' } }),
        nodes: [node('a'), node('b', { ready: false })],
      },
    ],
    [
      'a node with another driver',
      'NoCompatibleNode',
      /has driver ABI rxe-2, the pod needs rxe-1/,
      {
        request: migration({ spec: { targetNodeName: 'b' } }),
        nodes: [node('a'), node('b', { abi: 'rxe-2' })],
      },
    ],
    [
      'no node with the same driver',
      'NoCompatibleNode',
      /sealift.dev\/driver-abi=rxe-1/,
      { nodes: [node('a'), node('b', { abi: 'rxe-2' }), node('c', { abi: null })] },
    ],
    [
      'a node that the pod may not be on',
      'NoCompatibleNode',
      /b lacks the label zone=z1 of the pod's nodeSelector; name another one/,
      {
        request: migration({ spec: { targetNodeName: 'b' } }),
        sourcePod: pod({ spec: { nodeSelector: { zone: 'z1' } } }),
      },
    ],
    [
      'a source without an agent',
      'SourceNodeUnavailable',
      /no working Sealift agent/,
      { nodes: [node('a', { abi: null }), node('b')] },
    ],
    [
      'a source that is not Ready',
      'SourceNodeUnavailable',
      /a is not Ready/,
      { nodes: [node('a', { ready: false }), node('b')] },
    ],
    [
      'another migration, accepted',
      'AnotherMigration',
      /MigrationRequest other is at work/,
      { others: [competing({ creationTimestamp: at(5) }, { source })] },
    ],
    [
      'another migration, older',
      'AnotherMigration',
      /MigrationRequest other/,
      { others: [competing({ creationTimestamp: at(-5) })] },
    ],
    [
      'another migration, as old',
      'AnotherMigration',
      /MigrationRequest other/,
      { others: [competing({ creationTimestamp: at(-1), uid: 'a-smaller-uid' })] },
    ],
    [
      'a checkpoint under way',
      'AnotherMigration',
      /CheckpointRequest saved/,
      {
        others: [
          checkpoint({
            metadata: { uid: 'x', creationTimestamp: at(5) },
            status: { podUID: 'pod-uid' },
          }),
        ],
      },
    ],
    [
      'a network whose IPAM would give its address away',
      'UnsupportedPod',
      /default\/fabric .*whereabouts/,
      {
        networks: new Map([
          [
            'default/fabric',
            '{"type":"sealift","delegate":{"type":"macvlan","ipam":{"type":"whereabouts"}}}',
          ],
        ]),
      },
    ],
  ])('is refused: %s', (_name, reason, text, parts) => {
    const plan = decideMigration(see(parts), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe(`False ${reason}`);
    expect(message(plan)).toMatch(text);
    expect(conditionsOf(plan.status?.conditions)['Validated']).toBe(`False ${reason}`);
    expect(plan.status).toMatchObject({ phase: 'Failed', completionTime: at(0) });
    expect(plan.status?.source).toBeUndefined();
  });

  describe('waits for its turn', () => {
    const busy = (out: number, into: number): Partial<Observed> => ({
      moves: {
        limits: { cluster: 5, perNode: 2 },
        underWay: { total: 2, out: new Map([['a', out]]), into: new Map([['b', into]]) },
        position: 1,
        older: [],
      },
    });

    it('and changes nothing but its status', () => {
      const plan = decideMigration(see(busy(2, 0)), NOW);
      expect(plan.effects).toEqual([]);
      expect(plan.requeueAfterMs).toBe(15_000);
      expect(plan.status).toMatchObject({
        phase: 'Pending',
        queue: { position: 1, waitsFor: 'SourceNode', sourceNodeName: 'a' },
      });
      expect(plan.status?.source).toBeUndefined();
      expect(plan.status?.target).toBeUndefined();
      expect(plan.status?.deadlines, 'the deadline is for the move').toBeUndefined();
      expect(conditionsOf(plan.status?.conditions)).toMatchObject({
        Validated: 'Unknown Queued',
        Failed: 'Unknown Queued',
        Succeeded: 'Unknown Queued',
      });
      const later = decideMigration(published(see(), plan), NOW + 60_000);
      expect(effects(later)).toEqual(['CreateTarget']);
      expect(later.status?.queue).toBeUndefined();
      expect(later.status?.deadlines?.prepare).toBe(at(360));
      expect(conditionsOf(later.status?.conditions)['Validated']).toBe('True Accepted');
    });

    it('for a target node, if every one is busy', () => {
      const two = [node('a'), node('b')];
      const waits = decideMigration(see({ ...busy(0, 2), nodes: two }), NOW);
      expect(waits.status?.queue?.waitsFor).toBe('TargetNode');
      expect(message(waits)).toMatch(/nodes that the pod could move to have 2 migrations/);
      const other = decideMigration(see({ ...busy(0, 2), nodes: [...two, node('c')] }), NOW);
      expect(other.status?.target?.nodeName).toBe('c');
    });

    it('not for a node that others only may get, if it has waited and another one is left', () => {
      const three = [node('a'), node('b'), node('c'), node('d')];
      const undecided = new Map([['b', 2]]);
      const underWay = { total: 2, out: new Map(), into: new Map(), undecided };
      const look = (stalledMs: number, nodes = three, position = 1): MigrationPlan => {
        const moves = { limits: { cluster: 5, perNode: 2 }, underWay, position, older: [] };
        return decideMigration(see({ nodes, moves: { ...moves, stalledMs } }), NOW);
      };
      expect(look(0).status?.queue?.waitsFor).toBe('TargetNode');
      expect(look(14_990)).toMatchObject({ requeueAfterMs: 1000 });
      expect(look(14_990, three, 20)).toMatchObject({ requeueAfterMs: 1000 });
      expect(look(14_990, three, 21)).toMatchObject({ requeueAfterMs: 75_000 });
      expect(look(15_000).status?.target?.candidates?.toSorted()).toEqual(['c', 'd']);
      expect(look(15_000, three.slice(0, 2)).status?.queue?.waitsFor).toBe('TargetNode');
    });

    it('unless it can’t be accepted at all, is cancelled or deleted', () => {
      const refused = decideMigration(see({ ...busy(2, 0), sourcePod: undefined }), NOW);
      expect(summary(refused)).toBe('False PodNotFound');
      const queue = { position: 1, waitsFor: 'SourceNode', sourceNodeName: 'a' };
      const request = migration({ spec: { cancel: true }, status: { queue } });
      const cancelled = decideMigration(see({ ...busy(2, 0), request }), NOW);
      expect(summary(cancelled)).toBe('False Cancelled');
      expect(cancelled.status?.queue).toBeUndefined();
    });
  });

  it.each<[string, Observed['others'][number]]>([
    ['younger', competing({ creationTimestamp: at(5) })],
    ['as old, with a greater uid', competing({ creationTimestamp: at(-1), uid: 'z' })],
    [
      'finished',
      competing(
        { creationTimestamp: at(-9) },
        { source, conditions: [succeeded('True', 'Moved')] },
      ),
    ],
    ['itself', competing({ uid: 'request-uid', creationTimestamp: at(-9) }, { source })],
  ])('is accepted beside a request that is %s', (_name, other) => {
    expect(effects(decideMigration(see({ others: [other] }), NOW))).toEqual(['CreateTarget']);
  });
});

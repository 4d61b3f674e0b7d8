// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, MigrationPolicy, type Inspection } from '../../../crds/src/index.ts';
import { effects, message, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  conditionsOf,
  migration,
  node,
  NOW,
  pod,
  target,
} from '../../testing/objects.ts';
import { MoveQueue } from '../moves/move-queue.ts';
import { refuseCompeting } from '../requests/competing-requests.ts';
import { decideMigration } from './decide.ts';
import type { MigrationPlan, Observed } from './types.ts';

const asked = (parts: Partial<Observed> = {}, spec: object = {}): Observed =>
  see({
    request: migration({ spec: { dryRun: true, ...spec }, metadata: { finalizers: [] } }),
    ...parts,
  });
const reasons = (plan: MigrationPlan): string[] =>
  plan.status?.inspection?.findings.map(({ reason }) => reason) ?? [];
const inspected = (inspection: Inspection, status: object = {}): Observed =>
  see({
    request: accepted(
      {
        target: undefined,
        deadlines: { prepare: at(60) },
        inspection: { targetNodeName: 'b', findings: [] },
        sourceAgent: { state: 'Inspected', inspection },
        ...status,
      },
      { spec: { dryRun: true }, metadata: { finalizers: [] } },
    ),
  });

describe('a dry run', () => {
  it('names the pod’s node, so that its agent looks, and nothing that would make anyone act', () => {
    const plan = decideMigration(asked(), NOW);
    expect(effects(plan)).toEqual([]);
    expect(plan.status).toMatchObject({
      phase: 'Inspecting',
      source: { nodeName: 'a', podUID: 'pod-uid' },
      inspection: { targetNodeName: 'b', findings: [] },
    });
    expect(plan.status?.target).toBeUndefined();
    expect(plan.status?.deadlines?.blackout).toBeUndefined();
    expect(Object.keys(conditionsOf(plan.status?.conditions))).toEqual([
      'Validated',
      'Failed',
      'Succeeded',
    ]);
  });

  const made = (spec: object): Pick<Observed, 'targetTrial'> => ({
    targetTrial: { target: target('request-uid', { spec: { ...spec } }) },
  });
  it.each<[string, Partial<Observed>, string[], string[]]>([
    ['is the source’s', made({}), [], []],
    [
      'has another init container',
      made({ initContainers: [{ name: 'otel' }] }),
      ['TargetDiffers'],
      [],
    ],
    ['would be refused', { targetTrial: { rejection: 'exceeded quota.' } }, ['TargetRejected'], []],
    ['could not be tried', { targetTrial: { untried: 'no dry run.' } }, [], ['TargetNotTried']],
    [
      'is of a pod in another runtime',
      { ...made({ hostPID: true }), sourcePod: pod({ spec: { runtimeClassName: null } }) },
      ['NotSealiftRuntime'],
      [],
    ],
    [
      'has other findings beside it',
      { ...made({ containers: [] }), sourcePod: pod({ spec: { hostPID: true } }) },
      ['UnsupportedPod', 'TargetDiffers'],
      [],
    ],
  ])('names what admission would do to a target that %s', (_what, parts, findings, notes) => {
    const plan = decideMigration(asked(parts), NOW);
    expect(reasons(plan)).toEqual(findings);
    expect((plan.status?.inspection?.notes ?? []).map(({ reason }) => reason)).toEqual(notes);
  });

  it('tells the agent which policy applies, and the user what it makes of the move', () => {
    const policy = MigrationPolicy.parse({
      metadata: { name: 'slow', generation: 2 },
      spec: { limits: { bandwidthPerMigration: '1Mi' } },
    });
    const status = decideMigration(asked({ policy }), NOW).status?.policy;
    expect(status).toMatchObject({ name: 'slow', limits: { bandwidthPerMigration: '1Mi' } });
    const bytes = { pages: 3 * 2 ** 20, rootfs: 0 };
    const end = decideMigration(
      inspected({ findings: [], bytes, sendingMs: 3000 }, { policy: status }),
      NOW,
    );
    expect(end.status?.inspection).toMatchObject({ bytes, sendingMs: 3000 });
    expect(message(end)).toMatch(
      /about 3 MiB\. Sending them takes 3\.0 s at 1Mi\/s, as MigrationPolicy slow allows, in which it stands still\.$/,
    );
  });

  it('says whether the pod keeps its address on the node that it would go to', () => {
    const keeping = { [annotations.podNetwork]: 'sealift/sealift-pods' };
    const on = (name: string, extra: Record<string, string>) => {
      const plain = node(name);
      const metadata = { ...plain.metadata };
      metadata.annotations = { ...metadata.annotations, ...extra };
      return { ...plain, metadata };
    };
    const sourcePod = pod({ status: { podIPs: [{ ip: '10.1.2.3' }] } });
    const begin = (to: Record<string, string>) =>
      decideMigration(asked({ sourcePod, nodes: [on('a', keeping), on('b', to)] }), NOW).status
        ?.inspection;
    expect(begin({})).toMatchObject({ targetNodeName: 'b', keepsAddresses: false });
    expect(begin(keeping)).toMatchObject({ targetNodeName: 'b', keepsAddresses: true });
    const status = { inspection: { ...begin(keeping), findings: [] } };
    const nodes = [on('a', keeping), on('b', keeping)];
    const end = decideMigration({ ...inspected({ findings: [] }, status), sourcePod, nodes }, NOW);
    expect(message(end)).toMatch(/0 MiB\. It keeps its address 10\.1\.2\.3\.$/);
    const lost = (lostConnections: number) => {
      const seen = inspected({ findings: [], lostConnections }, { inspection: { findings: [] } });
      return decideMigration({ ...seen, sourcePod, nodes }, NOW);
    };
    expect(message(lost(2))).toMatch(
      / It loses 2 TCP connections at 10\.1\.2\.3, whose peers get a reset\.$/,
    );
    expect(lost(2).status?.inspection?.lostConnections).toBe(2);
    expect(message(lost(1))).toMatch(/ loses 1 TCP connection at /);
    expect(message(lost(0))).not.toMatch(/loses/);
  });

  it('says so of the node that has the memory, if that is another one than at first', () => {
    const keeping = { [annotations.podNetwork]: 'sealift/sealift-pods' };
    const on = (name: string, extra: Record<string, string>) => {
      const { metadata, ...plain } = node(name);
      return {
        ...plain,
        metadata: { ...metadata, annotations: { ...metadata.annotations, ...extra } },
      };
    };
    const sourcePod = pod({ status: { podIPs: [{ ip: '10.1.2.3' }] } });
    const end = (b: Record<string, string>, c: Record<string, string>, has: number) => {
      const nodes = [on('a', keeping), on('b', b), on('c', c)];
      const keepsAddresses = b === keeping;
      const status = {
        inspection: { targetNodeName: 'b', keepsAddresses, findings: [] },
        sourceAgent: {
          ...{ state: 'Inspected', memory: { bytes: 2 ** 30 } },
          inspection: { findings: [] },
        },
      };
      const memory: Observed['memory'] = {
        of: (name) => ({
          available: name === 'c' ? has : 0,
          ...{ hugePages: new Map(), keepsImages: false },
        }),
        taken: () => 0,
      };
      return decideMigration(
        { ...inspected({ findings: [] }, status), nodes, sourcePod, memory },
        NOW,
      );
    };
    const loses = end(keeping, {}, 2 ** 31);
    expect(loses.status?.inspection).toMatchObject({ targetNodeName: 'c', keepsAddresses: false });
    expect(message(loses)).toMatch(/to node c, .* 0 MiB\.$/);
    const keeps = end({}, keeping, 2 ** 31);
    expect(keeps.status?.inspection).toMatchObject({ targetNodeName: 'c', keepsAddresses: true });
    expect(message(keeps)).toMatch(/It keeps its address 10\.1\.2\.3\.$/);
    const none = end(keeping, keeping, 0).status?.inspection;
    expect([none?.targetNodeName, none?.keepsAddresses]).toEqual([undefined, undefined]);
  });

  it('lists all that the operator would refuse, and still lets the agent look', () => {
    const owner = { kind: 'Db', name: 'd', uid: 'u', apiVersion: 'x.io/v1', controller: true };
    const sourcePod = pod({
      metadata: { ownerReferences: [owner] },
      spec: {
        volumes: [
          { name: 'data', persistentVolumeClaim: {} },
          { name: 'host', hostPath: {} },
        ],
        containers: [{ name: 'main', ports: [{ containerPort: 80, hostPort: 80 }] }],
      },
    });
    const plan = decideMigration(asked({ sourcePod, nodes: [node('a')] }), NOW);
    expect(plan.status?.phase).toBe('Inspecting');
    expect(reasons(plan)).toEqual([
      ...['UnsupportedPod', 'UnsupportedVolume', 'UnsupportedVolume', 'PodHasController'],
      'NoCompatibleNode',
    ]);
  });

  it('names Services that would lead to the target early, though they are not in the way', () => {
    const begun = decideMigration(asked({ earlyServices: ['web'] }), NOW);
    const notes = begun.status?.inspection?.notes;
    expect(notes).toEqual([
      { reason: 'EarlyService', message: expect.stringMatching(/^Service web has /) as string },
    ]);
    const seen = inspected(
      { findings: [] },
      { inspection: { targetNodeName: 'b', findings: [], notes } },
    );
    const ended = decideMigration(seen, NOW);
    expect(summary(ended)).toBe('True Movable');
    expect(ended.status?.inspection?.notes).toEqual(notes);
    expect(message(ended)).toMatch(/can be moved from .* Service web has publishNotReadyAddresses/);
    const many = Array.from({ length: 100 }, (_, n) => `${'x'.repeat(63)}-${n}`);
    const long = decideMigration(asked({ earlyServices: many }), NOW).status?.inspection?.notes;
    expect(long?.[0]?.message.length).toBeLessThan(2048);
    expect(
      decideMigration(asked({ earlyServices: [] }), NOW).status?.inspection,
    ).not.toHaveProperty('notes');
  });

  it('says of each node why it cannot take the pod', () => {
    const nodes = [node('a'), node('b', { cordoned: true }), node('old', { abi: 'rxe-0' })];
    const plan = decideMigration(asked({ nodes }), NOW);
    const texts = plan.status?.inspection?.findings.map((one) => one.message) ?? [];
    expect(texts).toHaveLength(3);
    expect(texts[1]).toMatch(/^Node b is not Ready, or is cordoned/);
    expect(texts[2]).toMatch(/^Node old has driver ABI rxe-0/);
  });

  const another = migration({
    metadata: { uid: 'other', name: 'other', creationTimestamp: at(-9) },
  });
  it.each<[string, Partial<Observed>, string]>([
    ['there is no pod', { sourcePod: undefined }, 'PodNotFound'],
    [
      'it is no pod of Sealift’s',
      { sourcePod: pod({ spec: { runtimeClassName: 'x' } }) },
      'NotSealiftRuntime',
    ],
    ['it does not run', { sourcePod: pod({ status: { phase: 'Pending' } }) }, 'PodNotRunning'],
    ['another request works on it', { others: [another] }, 'AnotherMigration'],
    [
      'its node has no agent',
      { nodes: [node('a', { abi: null }), node('b')] },
      'SourceNodeUnavailable',
    ],
  ])('ends without the agent if %s', (_name, parts, reason) => {
    const plan = decideMigration(asked(parts), NOW);
    expect(plan.status?.phase).toBe('Failed');
    expect(summary(plan)).toBe('False NotMovable');
    expect(reasons(plan)).toContain(reason);
    expect(plan.status?.source).toBeUndefined();
  });

  it('ends with what would be moved', () => {
    const objects = { qp: 2, cq: 2, mr: 1, srq: 0, ah: 0 };
    const bytes = { pages: 5 * 2 ** 20, rootfs: 10 };
    const plan = decideMigration(inspected({ findings: [], objects, bytes }), NOW);
    expect(summary(plan)).toBe('True Movable');
    expect(message(plan)).toBe(
      'Dry run: pod p can be moved from node a to node b, with 2 queue pairs, 1 memory region and about 6 MiB.',
    );
    expect(plan.status).toMatchObject({ phase: 'Succeeded', inspection: { objects, bytes } });
    expect(effects(plan)).toEqual([]);
    // No condition says that anything was moved.
    expect(conditionsOf(plan.status?.conditions)).not.toHaveProperty('Committed');
  });

  it('ends with everything that the operator and the agent have found', () => {
    const own = [{ reason: 'PodHasController', message: 'The pod belongs to Job j.' }];
    const found = [
      { reason: 'UnsupportedObject', message: 'Process 41 (a) has a memory window.' },
      { reason: 'ExecSessionOpen', message: 'Process 99 (sh) was started by kubectl exec.' },
    ];
    const inspection = { targetNodeName: 'b', findings: own };
    const plan = decideMigration(inspected({ findings: found }, { inspection }), NOW);
    expect(reasons(plan)).toEqual(['PodHasController', 'UnsupportedObject', 'ExecSessionOpen']);
    expect(message(plan)).toMatch(
      /^Dry run: 3 things are in the way\. \(1\) The pod .*\(3\) Process 99/,
    );
    expect(summary(plan)).toBe('False NotMovable');
  });

  it('cuts a message that the API would refuse', () => {
    const findings = Array.from({ length: 64 }, (_, n) => ({
      reason: 'X',
      message: `${n} ${'x'.repeat(500)}.`,
    }));
    const text = message(decideMigration(inspected({ findings }), NOW));
    expect(text).toHaveLength(4096);
    expect(text?.endsWith('...')).toBe(true);
  });

  it.each([
    ['has not looked in time', { sourceAgent: undefined }, 61, 'NotInspected'],
    [
      'is of an earlier version',
      { sourceAgent: { state: 'Failed', reason: 'UnsupportedObject', message: 'm' } },
      0,
      'UnsupportedObject',
    ],
    ['still looks', { sourceAgent: { state: 'Waiting' } }, 59, undefined],
  ])('knows an agent that %s', (_name, status, seconds, reason) => {
    const plan = decideMigration(inspected({ findings: [] }, status), NOW + seconds * 1000);
    expect(reasons(plan)).toEqual(reason ? [reason] : []);
    expect(plan.status?.phase).toBe(reason ? 'Failed' : 'Inspecting');
  });

  it('notices that its pod is gone', () => {
    const observed = {
      ...inspected({ findings: [] }, { sourceAgent: undefined }),
      sourcePod: undefined,
    };
    expect(reasons(decideMigration(observed, NOW))).toEqual(['SourceGone']);
  });

  it('is cancelled, deleted and kept as long as its user says', () => {
    expect(decideMigration(asked({}, { cancel: true }), NOW).status?.phase).toBe('Cancelled');
    const first = inspected({ findings: [] });
    const ended = published(first, decideMigration(first, NOW));
    expect(effects(decideMigration(ended, NOW + 1e9))).not.toContain('DeleteRequest');
    const { request } = ended;
    const kept = {
      ...ended,
      request: { ...request, spec: { ...request.spec, ttlSecondsAfterFinished: 5 } },
    };
    expect(effects(decideMigration(kept, NOW + 6000))).toContain('DeleteRequest');
  });

  it('takes no place in the queue and no pod from another request', () => {
    const dry = inspected({ findings: [] }).request;
    const moves = new MoveQueue();
    moves.update(dry, undefined);
    const request = migration({ metadata: { uid: 'mine', name: 'mine' } });
    expect(moves.look(request)).toMatchObject({ position: 1, underWay: { total: 0 } });
    expect(
      refuseCompeting(request, [{ ...dry, metadata: { ...dry.metadata, uid: 'dry' } }]),
    ).toBeUndefined();
  });
});

// SPDX-License-Identifier: Apache-2.0
// What a MigrationPolicy changes about a MigrationRequest.
import { describe, expect, it } from 'vitest';
import { annotations, MigrationPolicy } from '../../../crds/src/index.ts';
import { MoveTally } from '../moves/limits.ts';
import { effects, message, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  migration,
  node,
  NOW,
  pod,
  succeeded,
  target,
} from '../../testing/objects.ts';
import { decideMigration } from './decide.ts';

const policy = (spec: object): MigrationPolicy =>
  MigrationPolicy.parse({ metadata: { name: 'pol', generation: 4 }, spec });

describe('a request that is accepted', () => {
  it('keeps the policy that applies', () => {
    const spec = { limits: { migrations: 2 }, timeouts: { prepareSeconds: 20 } };
    const plan = decideMigration(see({ policy: policy(spec) }), NOW);
    expect(effects(plan)).toEqual(['CreateTarget']);
    expect(plan.status?.policy).toEqual({ name: 'pol', generation: 4, ...spec });
    expect(Date.parse(plan.status?.deadlines?.prepare ?? '')).toBe(NOW + 20_000);
  });

  it('keeps it when the policy changes afterwards', () => {
    const first = see({ policy: policy({ timeouts: { blackoutSeconds: 5 } }) });
    const after = published(first, decideMigration(first, NOW));
    const later = { ...after, policy: policy({ timeouts: { blackoutSeconds: 50 } }) };
    expect(decideMigration(later, NOW).status?.policy?.timeouts).toEqual({ blackoutSeconds: 5 });
  });

  it('has no policy where none applies', () => {
    expect(decideMigration(see(), NOW).status?.policy).toBeUndefined();
  });

  it('has the policy’s blackout, and not its own longer one', () => {
    const status = {
      policy: { name: 'pol', generation: 1, timeouts: { blackoutSeconds: 5 } },
      targetAgent: { state: 'AtCreateGate' },
    };
    const plan = decideMigration(
      see({ request: accepted(status), targetPod: target('request-uid') }),
      NOW,
    );
    expect(Date.parse(plan.status?.deadlines?.blackout ?? '')).toBe(NOW + 5_000);
  });
});

describe('a request that the policy’s limit keeps', () => {
  it('is queued, and names the policy', () => {
    const underWay = new MoveTally();
    underWay.add({ from: 'c', to: 'd', policy: { name: 'pol' } }, 1);
    const moves = { limits: { cluster: 5, perNode: 2 }, underWay, position: 1, older: [] };
    const plan = decideMigration(
      see({ moves, policy: policy({ limits: { migrations: 1 } }) }),
      NOW,
    );
    expect(effects(plan)).toEqual([]);
    expect(summary(plan)).toBe('Unknown Queued');
    expect(plan.status?.queue?.waitsFor).toBe('Policy');
    expect(plan.status?.policy?.name).toBe('pol');
    expect(message(plan)).toMatch(/MigrationPolicy pol allows 1 in the cluster/);
  });

  it('goes to a node that takes one more of its pods', () => {
    const underWay = new MoveTally();
    underWay.add({ from: 'x', to: 'b', policy: { name: 'pol' } }, 1);
    const moves = { limits: { cluster: 5, perNode: 2 }, underWay, position: 1, older: [] };
    const limited = policy({ limits: { migrationsPerNode: 1 } });
    const nodes = ['a', 'b', 'c'].map((name) => node(name));
    const load = underWay.into;
    const plan = decideMigration(see({ moves, nodes, load, policy: limited }), NOW);
    expect(plan.status?.target?.nodeName).toBe('c');
  });
});

describe('a finished request', () => {
  const done = (spec: Record<string, unknown>, policyTtl?: number) =>
    see({
      finished: { since: NOW - 100_000 },
      request: migration({
        metadata: { finalizers: [] },
        spec,
        status: {
          completionTime: at(-100),
          conditions: [succeeded('True', 'Moved')],
          ...(policyTtl !== undefined && {
            policy: { name: 'pol', generation: 1, ttlSecondsAfterFinished: policyTtl },
          }),
        },
      }),
    });
  it.each<[string, Record<string, unknown>, number | undefined, string[]]>([
    ['is kept', {}, undefined, []],
    ['is deleted when the policy’s time is over', {}, 99, ['DeleteRequest']],
    ['is kept for the policy’s time', {}, 101, []],
    ['is kept for its own time', { ttlSecondsAfterFinished: 200 }, 99, []],
  ])('%s', (_name, spec, ttl, wanted) => {
    expect(effects(decideMigration(done(spec, ttl), NOW))).toEqual(wanted);
  });
});

describe('a request for one pod by UID', () => {
  const request = migration({ metadata: { annotations: { [annotations.podUid]: 'pod-uid' } } });
  it('moves that pod', () => {
    expect(effects(decideMigration(see({ request }), NOW))).toEqual(['CreateTarget']);
  });
  it('moves no other of the same name', () => {
    const sourcePod = pod({ metadata: { uid: 'another' } });
    const plan = decideMigration(see({ request, sourcePod }), NOW);
    expect(summary(plan)).toBe('False PodNotFound');
    expect(message(plan)).toMatch(/UID pod-uid/);
  });
});

// SPDX-License-Identifier: Apache-2.0
// A restored pod, too, goes to a node that has the memory for it; its request waits for one.
import { describe, expect, it } from 'vitest';
import { at, conditionsOf, node, NOW, restore, stored, target } from '../../testing/objects.ts';
import { pollMs } from '../requests/deadlines.ts';
import { decideRestore } from './decide.ts';
import type { Observed, RestorePlan } from './types.ts';

const identity = { networks: '[]', keepsDevice: true };
const saved = stored({ bytes: { pages: 2 ** 30 } });

function see(parts: Partial<Observed>): Observed {
  return {
    ...{ request: restore(), checkpoint: saved, targetPod: undefined, podName: 'p-reque' },
    ...{ unschedulableMs: 0, finished: { since: NOW - 10_000 }, identity },
    ...{ nodes: [node('a'), node('b')], load: new Map([['a', 1]]) },
    ...parts,
  };
}

const effects = (plan: RestorePlan): string[] => plan.effects.map((one) => one.type);
const textOf = (plan: RestorePlan, type: string): string | undefined =>
  plan.status?.conditions?.find((one) => one.type === type)?.message;
const summary = (plan: RestorePlan): string | undefined =>
  conditionsOf(plan.status?.conditions)['Succeeded'];
const validated = (plan: RestorePlan): string | undefined => textOf(plan, 'Validated');

function published(observed: Observed, plan: RestorePlan): Observed {
  const status = { ...observed.request.status, ...plan.status };
  return { ...observed, request: { ...observed.request, status } };
}

describe('a restore whose images need memory', () => {
  const memory = (b: number, taken = 0): Observed['memory'] => ({
    of: (name) => ({
      available: name === 'b' ? b : 2 ** 20,
      ...{ hugePages: new Map(), keepsImages: false },
    }),
    taken: (name) => (name === 'b' ? taken : 0),
  });
  const asks = (b: number, parts: Partial<Observed> = {}, taken = 0): Observed =>
    see({ memory: memory(b, taken), ...parts });

  it('is created only on a node that has it', () => {
    expect(decideRestore(asks(2 ** 31), NOW).status?.target).toMatchObject({ nodeName: 'b' });
  });

  it('waits for a node that has it: what is known of them is seconds old', () => {
    const first = asks(2 ** 29);
    const plan = decideRestore(first, NOW);
    expect(plan).toMatchObject({ effects: [], requeueAfterMs: pollMs });
    expect(plan.status).toMatchObject({ phase: 'Pending', deadlines: { prepare: at(300) } });
    expect(plan.status?.target).toBeUndefined();
    expect(summary(plan)).toBe('Unknown NotEnoughMemory');
    expect(validated(plan)).toMatch(
      /node a has 1 MiB .* need 1\.2 GiB .*, and 1 more are like it\. .* waits .* 300 s/,
    );
    const again = published(first, plan);
    const later = decideRestore(again, NOW + 299_000);
    expect(later.status?.deadlines?.prepare, 'the same').toBe(at(300));
    expect(later).toMatchObject({ effects: [], requeueAfterMs: 1001 });
    const renewed = decideRestore({ ...again, memory: memory(2 ** 31) }, NOW + 299_000);
    expect(renewed.effects).toEqual([{ type: 'CreateTarget', nodeNames: ['b'], identity }]);
    expect(renewed.status?.deadlines?.prepare, 'one of its own').toBe(at(599));
    expect(validated(renewed)).toMatch(/is to run on node b/);
  });

  it('waits for what moves have found, too, and on a node that the user has named', () => {
    const named = restore({ spec: { targetNodeName: 'b' } });
    for (const observed of [asks(2 ** 31, {}, 2 ** 30), asks(0, { request: named })]) {
      expect(summary(decideRestore(observed, NOW))).toBe('Unknown NotEnoughMemory');
    }
  });

  it('ends with that when it has waited as long as a target may take', () => {
    const first = asks(2 ** 29);
    const plan = decideRestore(published(first, decideRestore(first, NOW)), NOW + 300_001);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe('False NotEnoughMemory');
    expect(textOf(plan, 'Succeeded')).toMatch(/node a has 1 MiB .*, and 1 more are like it/);
  });

  it.each<[string, string, Partial<Observed>]>([
    ['an address', 'AddressInUse', { identity: { reason: 'AddressInUse', message: 'taken' } }],
    ['a node', 'NoCompatibleNode', { nodes: [node('a', { cordoned: true })] }],
  ])('does not wait if it cannot have %s either', (_name, reason, parts) => {
    expect(summary(decideRestore(asks(0, parts), NOW))).toBe(`False ${reason}`);
  });

  it('is cancelled while it waits', () => {
    const first = asks(0);
    const { request } = published(first, decideRestore(first, NOW));
    const metadata = { ...request.metadata, deletionTimestamp: at(1) };
    const plan = decideRestore({ ...first, request: { ...request, metadata } }, NOW);
    expect(summary(plan)).toBe('False Cancelled');
  });

  it('that finds no room gives its node up for one whose memory only other moves keep', () => {
    const full = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable' };
    const targetPod = target('request-uid', {
      ...{ spec: { nodeName: '' }, status: { conditions: [full] } },
    });
    const taken = { a: 2 ** 30 };
    const memory: Observed['memory'] = {
      of: () => ({ available: 2 ** 31, hugePages: new Map(), keepsImages: false }),
      taken: (name) => (name === 'a' ? taken.a : 0),
    };
    const placed = restore({
      status: {
        ...{ startTime: at(0), checkpointId: 'saved-uid', deadlines: { prepare: at(300) } },
        source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
        target: { nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' },
      },
    });
    const first = see({
      ...{ request: placed, targetPod, unschedulableMs: 60_000, memory },
    });
    const plan = decideRestore(first, NOW);
    expect(effects(plan)).toEqual(['DeleteTarget']);
    const gone = { ...published(first, plan), targetPod: undefined };
    expect(decideRestore(gone, NOW).effects).toEqual([]);
    expect(decideRestore(gone, NOW).status?.target?.nodeName).toBe('b');
    taken.a = 0;
    expect(decideRestore(gone, NOW).status?.target).toMatchObject({ nodeName: 'a' });
  });
});

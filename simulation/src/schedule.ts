// SPDX-License-Identifier: Apache-2.0
// What goes wrong in a run, and when. A schedule and the code give the same run every time.
import fc from 'fast-check';
import { points } from './points.ts';

export type Who = 'operator' | 'source' | 'target';

export type What =
  | { readonly do: 'crash' | 'pause'; readonly who: Who }
  | { readonly do: 'skew'; readonly who: Who; readonly byMs: number }
  | {
      readonly do: 'cutApi' | 'slowApi' | 'lagWatch' | 'breakWatch' | 'repeatEvents';
      readonly who: Who;
    }
  | {
      readonly do:
        | 'stopApi'
        | 'compact'
        | 'touch'
        | 'cutAgents'
        | 'damageImage'
        | 'dumpFails'
        | 'dumpHangs'
        | 'freezeFails'
        | 'holdFails'
        | 'restoreFails'
        | 'restoreHangs'
        | 'endsAtGate'
        | 'unschedulable'
        | 'cancel'
        | 'deleteRequest'
        | 'deleteSource'
        | 'deleteTarget'
        | 'killApplication'
        | 'killContainer'
        | 'throw';
    }
  | { readonly do: 'reset'; readonly who: 'source' | 'target' };

/** At the nth time that the product passes a fault point, or after so many steps of the world. */
export type When = { readonly point: string; readonly nth: number } | { readonly step: number };

export interface Fault {
  readonly when: When;
  readonly what: What;
  /** How long a cut, a stop, a slowness or an absence lasts. */
  readonly forMs: number;
}

/**
 * `move`; `return`: there and back; `rivals`: two requests for one pod at once; `checkpoint`: and a copy from it;
 * `impatient`: a move whose peers give up; `recover`: one that comes back from a checkpoint when its source is lost.
 */
export type Scenario = 'move' | 'return' | 'rivals' | 'checkpoint' | 'impatient' | 'recover';

export interface Schedule {
  /** Of latencies, and of whether an effect that is under way survives its process. */
  readonly seed: number;
  readonly scenario: Scenario;
  /** Of the pod, 1 to 3: the first of several is a sidecar. Absent: 1. */
  readonly containers?: number;
  readonly faults: readonly Fault[];
}

const who = fc.constantFrom<Who>('operator', 'source', 'target');

const what: fc.Arbitrary<What> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('crash' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pause' as const), who }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...{ do: fc.constant('skew' as const), who },
      byMs: fc.integer({ min: -60_000, max: 60_000 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('cutApi', 'slowApi', 'lagWatch', 'breakWatch', 'repeatEvents'),
      who,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...(['stopApi', 'compact', 'touch', 'cutAgents', 'damageImage', 'dumpFails'] as const),
        ...([
          'dumpHangs',
          'freezeFails',
          'holdFails',
          'restoreFails',
          'restoreHangs',
          'endsAtGate',
          'unschedulable',
          'cancel',
        ] as const),
        ...(['deleteRequest', 'deleteSource', 'deleteTarget', 'killApplication'] as const),
        'killContainer' as const,
      ),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: 'throw' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('reset' as const),
      who: fc.constantFrom('source' as const, 'target' as const),
    }),
  },
);

/** Steps in which a move without faults has ended. */
const longestMove = 420;

const when: fc.Arbitrary<When> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({
      point: fc
        .tuple(fc.constantFrom(...points), fc.constantFrom('before', 'after'))
        .map(([name, side]) => `${name}.${side}`),
      nth: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ step: fc.nat(longestMove) }) },
);

/** Short ones stay within a step, long ones outlast deadlines. */
const forMs = fc.oneof(
  fc.integer({ min: 1, max: 3000 }),
  fc.integer({ min: 3000, max: 40_000 }),
  fc.integer({ min: 40_000, max: 130_000 }),
);

const scenario = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Scenario>('move') },
  { weight: 2, arbitrary: fc.constantFrom<Scenario>('return', 'rivals') },
  { weight: 2, arbitrary: fc.constant<Scenario>('checkpoint') },
  { weight: 2, arbitrary: fc.constantFrom<Scenario>('impatient', 'recover') },
);

export const schedules: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.nat(),
  scenario,
  containers: fc.integer({ min: 1, max: 3 }),
  faults: fc.array(fc.record({ when, what, forMs }), { maxLength: 4, size: 'max' }),
});

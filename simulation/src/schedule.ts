// SPDX-License-Identifier: Apache-2.0
// A schedule: which faults strike in a run, and when. One schedule and the same code give the same run every time. The
// form of a schedule is what REPLAY takes: keep it compatible.
import fc from 'fast-check';
import { faultPoints } from './fault-points.ts';

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
        | 'dumpFills'
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
  | {
      readonly do: 'reset' | 'restartKubelet' | 'update' | 'diskFull' | 'diskReadOnly';
      readonly who: 'source' | 'target';
    };

/** At the nth time that the product passes a fault point, or after that many steps of the run. */
export type When = { readonly point: string; readonly nth: number } | { readonly step: number };

export interface Fault {
  readonly when: When;
  readonly what: What;
  /** Milliseconds for which a cut, a stop, a delay or an absence lasts. */
  readonly forMs: number;
}

/**
 * `move`; `return`: there and back; `competing`: two requests for one pod at once; `checkpoint`: and a pod restored from
 * it; `retryLimit`: a move whose peers have a retry limit; `recover`: a move that, if its source is lost, is followed by a
 * restore from a checkpoint; `several`: pods of both nodes move at the same time, more than a node's limit.
 */
export type Scenario =
  'move' | 'return' | 'competing' | 'checkpoint' | 'retryLimit' | 'recover' | 'several';

export interface Schedule {
  /** For latencies, and for whether an effect that is under way happens although its process dies. */
  readonly seed: number;
  readonly scenario: Scenario;
  /** How many containers a pod has, 1 to 3. The first of several is a sidecar. Absent: 1. */
  readonly containers?: number;
  /** How long CRIU takes to dump a pod, in milliseconds. Absent: 300. */
  readonly dumpMs?: number | undefined;
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
          'dumpFills',
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
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('diskFull' as const, 'diskReadOnly' as const),
      who: fc.constantFrom('source' as const, 'target' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('restartKubelet' as const, 'update' as const),
      who: fc.constantFrom('source' as const, 'target' as const),
    }),
  },
);

/** A move without faults takes fewer steps. */
const longestMove = 420;

const when: fc.Arbitrary<When> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({
      point: fc
        .tuple(fc.constantFrom(...faultPoints), fc.constantFrom('before', 'after'))
        .map(([name, side]) => `${name}.${side}`),
      nth: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ step: fc.nat(longestMove) }) },
);

/** The short ones end within a step of a move, the long ones outlast deadlines. */
const forMs = fc.oneof(
  fc.integer({ min: 1, max: 3000 }),
  fc.integer({ min: 3000, max: 40_000 }),
  fc.integer({ min: 40_000, max: 130_000 }),
);

const scenario = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Scenario>('move') },
  { weight: 2, arbitrary: fc.constantFrom<Scenario>('return', 'competing') },
  { weight: 2, arbitrary: fc.constant<Scenario>('checkpoint') },
  { weight: 2, arbitrary: fc.constantFrom<Scenario>('retryLimit', 'recover') },
  { weight: 3, arbitrary: fc.constant<Scenario>('several') },
);

export const schedules: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.nat(),
  scenario,
  containers: fc.integer({ min: 1, max: 3 }),
  // The dump of a pod with much memory: longer than what peers with a retry limit bear, up to the step's own limit.
  dumpMs: fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.integer({ min: 5000, max: 60_000 }) },
  ),
  faults: fc.array(fc.record({ when, what, forMs }), { maxLength: 4, size: 'max' }),
});

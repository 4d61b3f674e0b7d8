// SPDX-License-Identifier: Apache-2.0
// Shared by the tables of the MigrationRequest controller.
import { defaultLimits, type MovesUnderWay } from '../src/moves/limits.ts';
import type { MigrationPlan, Observed } from '../src/migration/types.ts';
import { conditionsOf, migration, node, NOW, pod } from './objects.ts';

const noMoves: MovesUnderWay = { total: 0, out: new Map(), into: new Map() };

/** A request for a pod on node `a`, and a second node. */
export function see(parts: Partial<Observed> = {}): Observed {
  return {
    request: migration(),
    sourcePod: pod(),
    nodeTime: NOW,
    targetPod: undefined,
    unschedulableMs: 0,
    finished: { since: NOW - 10_000 },
    secondFinished: { since: NOW },
    others: [],
    checkpoints: [],
    restore: undefined,
    controller: undefined,
    policy: undefined,
    nodes: [node('a'), node('b')],
    load: new Map(),
    moves: { limits: defaultLimits, underWay: noMoves, position: 1, older: [] },
    ...parts,
  };
}

export const effects = (plan: MigrationPlan): string[] => plan.effects.map((one) => one.type);
export const summary = (plan: MigrationPlan): string | undefined =>
  conditionsOf(plan.status?.conditions)['Succeeded'];
export const message = (plan: MigrationPlan): string | undefined =>
  plan.status?.conditions?.find((one) => one.type === 'Succeeded')?.message;

/** The observation after the plan's status was published. */
export function published(observed: Observed, plan: MigrationPlan): Observed {
  const status = { ...observed.request.status, ...plan.status };
  return { ...observed, request: { ...observed.request, status } };
}

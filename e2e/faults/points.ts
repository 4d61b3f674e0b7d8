// SPDX-License-Identifier: Apache-2.0
// Every fault point of docs/faults.md, and what a failure there has to come to. Pure: `points.test.ts` checks that
// none is left out.

/** Whose folder a point is armed in: a node by its role in the move, or the operator's container. */
export type Place = 'source' | 'target' | 'operator';

export interface ArmedPoint {
  readonly place: Place;
  readonly point: string;
}

/** Moves that are tried again until they succeed, and moves that are given up for one failure. */
export type ExpectedDecision = 'Committed' | 'Aborted';

export interface ArmedMove {
  readonly name: string;
  readonly decision: ExpectedDecision;
  readonly points: readonly ArmedPoint[];
}

const beforeAndAfter = (place: Place, ...names: readonly string[]): ArmedPoint[] =>
  names.flatMap((name) => [
    { place, point: `${name}.before` },
    { place, point: `${name}.after` },
  ]);

/** What happens after either decision is done again until it is done; what only prepares, until its deadline. */
const retriedMoves: readonly ArmedMove[] = [
  {
    name: 'after Committed, and what is asked for again',
    decision: 'Committed',
    points: [
      ...beforeAndAfter(
        'operator',
        'operator.finalizer',
        'operator.status',
        'operator.create-target',
      ),
      ...beforeAndAfter('operator', 'operator.label-target', 'operator.detach-target'),
      ...beforeAndAfter('operator', 'operator.delete-source'),
      ...beforeAndAfter('source', 'agent.status', 'source.silence', 'source.hide', 'source.kill'),
      ...beforeAndAfter('source', 'source.clean'),
      ...beforeAndAfter('target', 'driver.resume'),
      ...beforeAndAfter('target', 'target.decide', 'target.answer', 'target.unlock'),
      ...beforeAndAfter('target', 'target.show', 'target.announce', 'target.resume', 'target.open'),
      ...beforeAndAfter('target', 'target.clean'),
    ],
  },
  // Not even the failure can be written down: the next attempt knows nothing of it.
  { name: 'the journal', decision: 'Committed', points: beforeAndAfter('source', 'journal.write') },
  // The decision is known by then: the target is restored once more.
  {
    name: 'the open gate',
    decision: 'Committed',
    points: [{ place: 'target', point: 'plugin.restore.gate.after' }],
  },
  {
    name: "the target's network",
    decision: 'Committed',
    points: beforeAndAfter(
      'target',
      'shim.add',
      'cni.before',
      'cni.after',
      'cni.device',
      'driver.hold',
    ),
  },
];

/** Each of these by itself ends a move. */
const endingPoints: readonly ArmedPoint[] = [
  ...beforeAndAfter('source', 'source.lock', 'source.hold', 'source.freeze', 'source.dump'),
  ...beforeAndAfter(
    'source',
    'driver.hold',
    'driver.dump_context',
    'driver.find_fd',
    'driver.dump_cq',
  ),
  ...beforeAndAfter('source', 'driver.dump_mr', 'driver.dump_qp'),
  ...beforeAndAfter('source', 'plugin.dump.context', 'plugin.dump.image', 'source.transfer'),
  ...beforeAndAfter('target', 'target.createGate', 'shim.create', 'shim.mark', 'receiver.store'),
  ...beforeAndAfter(
    'target',
    'target.prepare',
    'target.lock',
    'target.stale-sockets',
    'target.hide',
  ),
  ...beforeAndAfter('target', 'target.hold', 'target.files'),
  ...beforeAndAfter('target', 'plugin.restore.context', 'plugin.restore.memory'),
  { place: 'target', point: 'plugin.restore.gate.before' },
  ...beforeAndAfter(
    'target',
    'driver.hint',
    'driver.restore_cq',
    'driver.restore_qp',
    'driver.adopt',
  ),
];

const afterAbortPoints: readonly ArmedPoint[] = [
  ...beforeAndAfter('source', 'source.abort', 'source.unlock', 'source.thaw', 'source.resume'),
  ...beforeAndAfter('source', 'driver.resume'),
  ...beforeAndAfter('target', 'target.tearDown'),
  ...beforeAndAfter('operator', 'operator.delete-target'),
];

const abortedMoves: readonly ArmedMove[] = [
  {
    name: 'all that follows an abort',
    decision: 'Aborted',
    points: [{ place: 'source', point: 'source.transfer.before' }, ...afterAbortPoints],
  },
  {
    name: "the target's abort",
    decision: 'Aborted',
    points: [
      { place: 'target', point: 'target.files.before' },
      ...beforeAndAfter('target', 'target.abort'),
    ],
  },
];

const isInCriu = ({ point }: ArmedPoint): boolean => /^(plugin|driver)\./.test(point);

const oneMoveEach = (place: Place, ofCriu: boolean): ArmedMove[] =>
  endingPoints
    .filter((one) => one.place === place && isInCriu(one) === ofCriu)
    .map((one) => ({ name: one.point, decision: 'Aborted', points: [one] }));

/** Rounds by the case that plays them, each on one ledger pair. */
export const armedMoves = {
  repeated: [...abortedMoves, ...retriedMoves],
  source: oneMoveEach('source', false),
  dump: oneMoveEach('source', true),
  target: oneMoveEach('target', false),
  restore: oneMoveEach('target', true),
} as const satisfies Record<string, readonly ArmedMove[]>;

export const allArmedMoves: readonly ArmedMove[] = Object.values(armedMoves).flat();

/** `spec.cancel` while the source waits: the operator proposes. */
export const cancelPoints = beforeAndAfter('operator', 'operator.abort');

/** A pod that is simply started. */
export const startPoints = beforeAndAfter('source', 'shim.create', 'create.bundle');

/** A pod that ends: one at a time, since Multus asks for a network's end once only. */
export const stopPoints = beforeAndAfter('source', 'shim.del', 'cni.del');

/** An agent that starts, and one that starts once more: without its driver an agent goes on all the same. */
export const installPoints: readonly (readonly ArmedPoint[])[] = [
  [
    ...beforeAndAfter('source', 'install.bundle', 'node.publish'),
    { place: 'source', point: 'install.driver.before' },
  ],
  [{ place: 'source', point: 'install.driver.after' }],
];

/** A request that is deleted after its end. */
export const deletionPoints = beforeAndAfter('source', 'orphans.remove');

/** Checkpoints, and restores from them. */
export const checkpointPoints = {
  failing: beforeAndAfter('source', 'checkpoint.seal'),
  sent: beforeAndAfter('source', 'images.send'),
  verified: beforeAndAfter('target', 'target.verify'),
  removed: [
    ...beforeAndAfter('source', 'checkpoint.remove'),
    ...beforeAndAfter('operator', 'operator.delete-checkpoint'),
  ],
} as const;

/** The restore of a container that is not its pod's last: `multi-container-abort` walks these. */
export const backgroundPoints = beforeAndAfter('target', 'shim.atGate');

/** A source that is lost and comes back from its checkpoint: `recovery` walks these. */
export const recoveryPoints = beforeAndAfter(
  'operator',
  'operator.delete-lost-source',
  'operator.create-restore',
);

/** Points that no agent ever passes: the plugin holds a device by itself only where it has no agent. */
export const pointsWithoutAgent: readonly string[] = ['dump.hold', 'restore.hold'];

/** Names without `.before`, `.after` and `plugin.`, each once. */
export function coveredPoints(): string[] {
  const arms = [
    ...allArmedMoves.flatMap((round) => round.points),
    ...[
      ...cancelPoints,
      ...startPoints,
      ...stopPoints,
      ...installPoints.flat(),
      ...deletionPoints,
      ...Object.values(checkpointPoints).flat(),
      ...backgroundPoints,
      ...recoveryPoints,
    ],
  ];
  const names = arms.map(({ point }) => point.replace(/^plugin\./, '').replace(/\.\w+$/, ''));
  return [...new Set(names)].sort();
}

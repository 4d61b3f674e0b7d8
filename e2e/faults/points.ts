// SPDX-License-Identifier: Apache-2.0
// A plan for every fault point of docs/faults.md: in which move it fails, and what is decided then. `points.test.ts` checks
// that no point is left out.

/** Where a fault point is armed: source node, target node or operator container. */
export type FaultLocation = 'source' | 'target' | 'operator';

export interface ArmedPoint {
  readonly location: FaultLocation;
  readonly point: string;
}

/** Whether the move succeeds in spite of the failures, or one failure aborts it. */
export type ExpectedDecision = 'Committed' | 'Aborted';

/** One move with points armed. */
export interface ArmedMove {
  readonly name: string;
  readonly decision: ExpectedDecision;
  readonly points: readonly ArmedPoint[];
}

const beforeAndAfter = (location: FaultLocation, ...names: readonly string[]): ArmedPoint[] =>
  names.flatMap((name) => [
    { location, point: `${name}.before` },
    { location, point: `${name}.after` },
  ]);

/** After a decision, an agent repeats its work until it succeeds. Work that only prepares is repeated until a deadline. */
const retriedMoves: readonly ArmedMove[] = [
  {
    name: 'after Committed, and requests that clients repeat',
    decision: 'Committed',
    points: [
      ...beforeAndAfter(
        'operator',
        'operator.finalizer',
        'operator.status',
        'operator.create-target',
      ),
      ...beforeAndAfter('operator', 'operator.allow-traffic', 'operator.release-target'),
      ...beforeAndAfter('operator', 'operator.delete-source'),
      ...beforeAndAfter('source', 'agent.status', 'source.silence', 'source.hide', 'source.kill'),
      ...beforeAndAfter('source', 'driver.dump_naks', 'source.clean'),
      ...beforeAndAfter('target', 'driver.resume'),
      ...beforeAndAfter(
        'target',
        'target.persist',
        'target.decide',
        'target.answer',
        'target.unlock',
      ),
      ...beforeAndAfter('target', 'target.show', 'target.announce', 'target.resume', 'target.thaw'),
      ...beforeAndAfter('target', 'target.clean'),
    ],
  },
  // The agent cannot even record the failure. Its next attempt knows nothing of it.
  { name: 'the journal', decision: 'Committed', points: beforeAndAfter('source', 'journal.write') },
  // The agent lists what a pod has open before the hold, and lists it again.
  {
    name: 'the inspection',
    decision: 'Committed',
    points: beforeAndAfter('source', 'driver.dump_context'),
  },
  // The keeper of addresses looks again a second later.
  {
    name: 'the address that the pod keeps',
    decision: 'Committed',
    points: [
      ...beforeAndAfter('source', 'addresses.route', 'addresses.reserve'),
      ...beforeAndAfter('target', 'addresses.route', 'addresses.reserve'),
    ],
  },
  {
    name: "the target's network",
    decision: 'Committed',
    points: beforeAndAfter(
      'target',
      'shim.add',
      'cni.before',
      'cni.after',
      'cni.address',
      'cni.device',
      'driver.hold',
      'target.addresses',
    ),
  },
];

/** Each of these alone aborts a move. */
const endingPoints: readonly ArmedPoint[] = [
  ...beforeAndAfter('source', 'source.lock', 'source.hold', 'source.freeze', 'source.dump'),
  ...beforeAndAfter('source', 'driver.hold', 'driver.find_fd', 'driver.dump_cq'),
  ...beforeAndAfter(
    'source',
    'driver.dump_mr',
    'driver.dump_qp',
    'driver.dump_srq',
    'driver.dump_ah',
    'driver.dump_events',
  ),
  ...beforeAndAfter('source', 'plugin.dump.context', 'plugin.dump.image', 'source.transfer'),
  ...beforeAndAfter('target', 'target.createGate', 'shim.create', 'shim.mark', 'receiver.store'),
  ...beforeAndAfter(
    'target',
    'target.prepare',
    'target.lock',
    'target.stale-sockets',
    'target.hide',
  ),
  ...beforeAndAfter('target', 'target.hold', 'target.files', 'target.freeze'),
  ...beforeAndAfter('target', 'plugin.restore.context', 'plugin.restore.memory'),
  ...beforeAndAfter('target', 'plugin.restore.gate'),
  ...beforeAndAfter(
    'target',
    'driver.hint',
    'driver.restore_cq',
    'driver.restore_qp',
    'driver.restore_srq',
    'driver.restore_ah',
    'driver.restore_events',
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
    name: 'the work after an abort',
    decision: 'Aborted',
    points: [{ location: 'source', point: 'source.transfer.before' }, ...afterAbortPoints],
  },
  {
    name: 'the proposal of the target to abort',
    decision: 'Aborted',
    points: [
      { location: 'target', point: 'target.files.before' },
      ...beforeAndAfter('target', 'target.abort'),
    ],
  },
];

const isInCriu = ({ point }: ArmedPoint): boolean => /^(plugin|driver)\./.test(point);

const oneMoveEach = (location: FaultLocation, ofCriu: boolean): ArmedMove[] =>
  endingPoints
    .filter((one) => one.location === location && isInCriu(one) === ofCriu)
    .map((one) => ({ name: one.point, decision: 'Aborted', points: [one] }));

/** By the case that makes these moves, one after another with one ledger pair. */
export const armedMoves = {
  repeated: [...abortedMoves, ...retriedMoves],
  source: oneMoveEach('source', false),
  dump: oneMoveEach('source', true),
  target: oneMoveEach('target', false),
  restore: oneMoveEach('target', true),
} as const satisfies Record<string, readonly ArmedMove[]>;

export const allArmedMoves: readonly ArmedMove[] = Object.values(armedMoves).flat();

/** The operator proposes to abort, because a user has set `spec.cancel`. */
export const cancelPoints = beforeAndAfter('operator', 'operator.abort');

/** A pod that starts, and is no target. */
export const startPoints = beforeAndAfter('source', 'shim.create', 'create.bundle');

/** A pod that is deleted. One point per pod, since Multus calls DEL only once. */
export const stopPoints = beforeAndAfter('source', 'shim.del', 'cni.del');

/** An agent that starts, and one that starts again. An agent without its driver keeps running. */
export const installPoints: readonly (readonly ArmedPoint[])[] = [
  [
    ...beforeAndAfter('source', 'install.bundle', 'node.publish'),
    { location: 'source', point: 'install.driver.before' },
  ],
  [{ location: 'source', point: 'install.driver.after' }],
];

/** A request that is deleted after it has ended. */
export const deletionPoints = beforeAndAfter('source', 'orphans.remove');

/** Checkpoints, and restores from them. Each point of `failing` fails a checkpoint. */
export const checkpointPoints = {
  failing: beforeAndAfter('source', 'checkpoint.seal', 'checkpoint.encrypt'),
  sent: beforeAndAfter('source', 'images.send'),
  verified: beforeAndAfter('target', 'target.verify'),
  /** The node that stores the images restores from them itself. */
  decrypted: beforeAndAfter('source', 'target.decrypt'),
  removed: [
    ...beforeAndAfter('source', 'checkpoint.remove'),
    ...beforeAndAfter('operator', 'operator.delete-request'),
  ],
} as const;

/** The keeper of a container's restore. `multi-container-abort` arms these. */
export const keeperPoints = beforeAndAfter('target', 'shim.keep');

/** A lost source that is restored from its checkpoint. `recovery` arms these. */
export const recoveryPoints = beforeAndAfter(
  'operator',
  'operator.delete-lost-source',
  'operator.create-restore',
);

/** A pod that is evicted. `drain` arms these. */
export const evacuationPoints = beforeAndAfter('operator', 'operator.create-evacuation');

/** Pods that have a controller. `owner-deployment`, `owner-job`, `owner-statefulset` and `owner-two-nodes` arm these. */
export const controllerPoints = {
  replicaSet: beforeAndAfter('operator', 'operator.retire-source', 'operator.attach-target'),
  job: beforeAndAfter('operator', 'operator.detach-source'),
  jobAborted: beforeAndAfter('operator', 'operator.attach-source', 'operator.detach-target'),
  jobFinished: beforeAndAfter('operator', 'operator.end-source'),
  statefulSet: beforeAndAfter('operator', 'operator.create-second-move', 'operator.attach-target'),
  landingWaits: beforeAndAfter('operator', 'operator.release-landing'),
  landingLost: beforeAndAfter('operator', 'operator.delete-landing'),
} as const;

/**
 * Points that no move of the matrix passes: the CRIU plugin holds a device only without an agent, no peer there ends its connection
 * in a hold, and only the driver's own tests ask for a device's list.
 */
export const pointsWithoutAgent: readonly string[] = [
  ...['dump.hold', 'restore.hold', 'driver.restore_nak', 'driver.list'],
];

/** The names of all points in the plan, without `.before`, `.after` and `plugin.`, sorted. */
export function coveredPoints(): string[] {
  const points = [
    ...allArmedMoves.flatMap((move) => move.points),
    ...[
      ...cancelPoints,
      ...startPoints,
      ...stopPoints,
      ...installPoints.flat(),
      ...deletionPoints,
      ...Object.values(checkpointPoints).flat(),
      ...keeperPoints,
      ...recoveryPoints,
      ...evacuationPoints,
      ...Object.values(controllerPoints).flat(),
    ],
  ];
  const names = points.map(({ point }) => point.replace(/^plugin\./, '').replace(/\.\w+$/, ''));
  return [...new Set(names)].sort();
}

// SPDX-License-Identifier: Apache-2.0
// Every fault point of docs/faults.md, and what a failure there has to come to. Pure: `points.test.ts` checks that
// none is left out.

/** Whose folder a point is armed in: a node by its role in the move, or the operator's container. */
export type Where = 'source' | 'target' | 'operator';

export interface Arm {
  readonly where: Where;
  readonly point: string;
}

/** Moves that are tried again until they succeed, and moves that are given up for one failure. */
export type End = 'Committed' | 'Aborted';

export interface Round {
  readonly name: string;
  readonly end: End;
  readonly arms: readonly Arm[];
}

const both = (where: Where, ...names: readonly string[]): Arm[] =>
  names.flatMap((name) => [
    { where, point: `${name}.before` },
    { where, point: `${name}.after` },
  ]);

/** What happens after either decision is done again until it is done; what only prepares, until its deadline. */
const repeated: readonly Round[] = [
  {
    name: 'after Committed, and what is asked for again',
    end: 'Committed',
    arms: [
      ...both('operator', 'operator.finalizer', 'operator.status', 'operator.create-target'),
      ...both('operator', 'operator.label-target', 'operator.detach-target'),
      ...both('operator', 'operator.delete-source'),
      ...both('source', 'agent.status', 'source.silence', 'source.hide', 'source.kill'),
      ...both('source', 'source.clean'),
      ...both('target', 'driver.resume'),
      ...both('target', 'target.decide', 'target.answer', 'target.unlock'),
      ...both('target', 'target.show', 'target.announce', 'target.resume', 'target.open'),
      ...both('target', 'target.clean'),
    ],
  },
  // Not even the failure can be written down: the next attempt knows nothing of it.
  { name: 'the journal', end: 'Committed', arms: both('source', 'journal.write') },
  // The decision is known by then: the target is restored once more.
  {
    name: 'the open gate',
    end: 'Committed',
    arms: [{ where: 'target', point: 'plugin.restore.gate.after' }],
  },
  {
    name: "the target's network",
    end: 'Committed',
    arms: both('target', 'shim.add', 'cni.before', 'cni.after', 'cni.device', 'driver.hold'),
  },
];

/** Each of these by itself ends a move. */
const ending: readonly Arm[] = [
  ...both('source', 'source.lock', 'source.hold', 'source.freeze', 'source.dump'),
  ...both('source', 'driver.hold', 'driver.dump_context', 'driver.find_fd', 'driver.dump_cq'),
  ...both('source', 'driver.dump_mr', 'driver.dump_qp'),
  ...both('source', 'plugin.dump.context', 'plugin.dump.image', 'source.transfer'),
  ...both('target', 'target.createGate', 'shim.create', 'shim.mark', 'receiver.store'),
  ...both('target', 'target.prepare', 'target.lock', 'target.stale-sockets', 'target.hide'),
  ...both('target', 'target.hold', 'target.files'),
  ...both('target', 'plugin.restore.context', 'plugin.restore.memory'),
  { where: 'target', point: 'plugin.restore.gate.before' },
  ...both('target', 'driver.hint', 'driver.restore_cq', 'driver.restore_qp', 'driver.adopt'),
];

const afterAbort: readonly Arm[] = [
  ...both('source', 'source.abort', 'source.unlock', 'source.thaw', 'source.resume'),
  ...both('source', 'driver.resume'),
  ...both('target', 'target.tearDown'),
  ...both('operator', 'operator.delete-target'),
];

const together: readonly Round[] = [
  {
    name: 'all that follows an abort',
    end: 'Aborted',
    arms: [{ where: 'source', point: 'source.transfer.before' }, ...afterAbort],
  },
  {
    name: "the target's abort",
    end: 'Aborted',
    arms: [{ where: 'target', point: 'target.files.before' }, ...both('target', 'target.abort')],
  },
];

const inCriu = ({ point }: Arm): boolean => /^(plugin|driver)\./.test(point);

const alone = (where: Where, ofCriu: boolean): Round[] =>
  ending
    .filter((arm) => arm.where === where && inCriu(arm) === ofCriu)
    .map((arm) => ({ name: arm.point, end: 'Aborted', arms: [arm] }));

/** Rounds by the case that plays them, each on one ledger pair. */
export const rounds = {
  repeated: [...together, ...repeated],
  source: alone('source', false),
  dump: alone('source', true),
  target: alone('target', false),
  restore: alone('target', true),
} as const satisfies Record<string, readonly Round[]>;

export const moves: readonly Round[] = Object.values(rounds).flat();

/** `spec.cancel` while the source waits: the operator proposes. */
export const cancelled = both('operator', 'operator.abort');

/** A pod that is simply started. */
export const started = both('source', 'shim.create', 'create.bundle');

/** A pod that ends: one at a time, since Multus asks for a network's end once only. */
export const stopped = both('source', 'shim.del', 'cni.del');

/** An agent that starts, and one that starts once more: without its driver an agent goes on all the same. */
export const installed: readonly (readonly Arm[])[] = [
  [
    ...both('source', 'install.bundle', 'node.publish'),
    { where: 'source', point: 'install.driver.before' },
  ],
  [{ where: 'source', point: 'install.driver.after' }],
];

/** A request that is deleted after its end. */
export const forgotten = both('source', 'orphans.remove');

/** Checkpoints, and restores from them. */
export const kept = {
  failing: both('source', 'checkpoint.seal'),
  sent: both('source', 'images.send'),
  verified: both('target', 'target.verify'),
  removed: [
    ...both('source', 'checkpoint.remove'),
    ...both('operator', 'operator.delete-checkpoint'),
  ],
} as const;

/** The restore of a container that is not its pod's last: `multi-container-abort` walks these. */
export const behind = both('target', 'shim.atGate');

/** A source that is lost and comes back from its checkpoint: `recovery` walks these. */
export const recovered = both('operator', 'operator.delete-lost-source', 'operator.create-restore');

/** Points that no agent ever passes: the plugin holds a device by itself only where it has no agent. */
export const withoutAgent: readonly string[] = ['dump.hold', 'restore.hold'];

/** Names without `.before`, `.after` and `plugin.`, each once. */
export function walked(): string[] {
  const arms = [
    ...moves.flatMap((round) => round.arms),
    ...[
      ...cancelled,
      ...started,
      ...stopped,
      ...installed.flat(),
      ...forgotten,
      ...Object.values(kept).flat(),
      ...behind,
      ...recovered,
    ],
  ];
  const names = arms.map(({ point }) => point.replace(/^plugin\./, '').replace(/\.\w+$/, ''));
  return [...new Set(names)].sort();
}

// SPDX-License-Identifier: Apache-2.0
// One run of a schedule. The cluster starts, a user makes requests, faults strike, faults end; then, in a time that is
// fair, every request must have finished and the cluster must be in a right state.
import { annotations, isFinished, LONGEST_RNR_TIMER, rnrTimerMs } from '../../crds/src/index.ts';
import type { Logger } from '../../kube/src/index.ts';
import { GIVE_UP_MS } from '../../node-agent/src/node/runtime/runc.ts';
import type { StoredObject } from './api/objects.ts';
import { decisionOf } from './api/rules.ts';
import type { ObjectKey } from './api/store.ts';
import { app, furtherApps } from './application.ts';
import { FaultInjector } from './fault-injector.ts';
import { nodeRecords, unfinished, wrongPods } from './final-state.ts';
import { Monitor, ViolationError } from './monitor.ts';
import { dumpEndsMs } from './node/checkpointer.ts';
import type { Mutant } from './mutants.ts';
import type { Fault, Schedule } from './schedule.ts';
import { Simulation, startMs } from './simulation.ts';
import { asUser, namespace, requestBody } from './user.ts';

/** A fault whose point has not been passed by then is dropped. */
const faultWindowMs = 240_000;
/** Longer than all deadlines of the product in a row, and than the hour for which images without an owner stay. */
const recoveryMs = 4_500_000;
const maxSteps = 60_000;
const checkEverySteps = 25;
/** The pod's peers give up at their seventh RNR NAK. */
const retryLimit = { [annotations.peerRnrRetry]: '6' };
const retryLimitMs = 6 * rnrTimerMs(LONGEST_RNR_TIMER);

/** Faults that leave every process, connection and node as it is. */
const harmless: ReadonlySet<string> = new Set([
  ...['diskFull', 'diskReadOnly', 'dumpFills'],
  ...['damageImage', 'dumpFails', 'freezeFails', 'holdFails', 'restoreFails', 'restoreHangs'],
  ...[
    'endsAtGate',
    'unschedulable',
    'cancel',
    'deleteTarget',
    'touch',
    'dumpHangs',
    'deleteRequest',
  ],
]);
/** Of an abort: all that is not CRIU takes milliseconds. */
const restMs = 1000;

export interface Outcome {
  readonly steps: number;
  /** Virtual milliseconds. */
  readonly ms: number;
  /** Outcome and reason of the last decision, for people. */
  readonly decision: string;
  /** Faults of the schedule that never struck. */
  readonly missed: readonly Fault[];
  /** After how many virtual milliseconds the first move had ended. */
  readonly finishedMs?: number | undefined;
}

export interface RunOptions {
  readonly mutant?: Mutant | undefined;
  readonly log?: ((process: string) => Logger) | undefined;
}

/** @throws ViolationError */
export async function run(schedule: Schedule, options: RunOptions = {}): Promise<Outcome> {
  const injector: { faults?: FaultInjector } = {};
  const simulation = new Simulation({
    seed: schedule.seed,
    containers: schedule.containers,
    dumpMs: schedule.dumpMs,
    several: schedule.scenario === 'several',
    log: options.log,
    hooks: options.mutant?.hooks,
    onPoint: (name) => injector.faults?.pointPassed(name),
  });
  const { scenario, faults: list } = schedule;
  const clocksAreSteady = list.every(({ what }) => what.do !== 'skew');
  // Several faults, or a clock that jumps, may keep both agents from ending a hold in time.
  const holdsEndInTime = scenario === 'retryLimit' && list.length <= 1 && clocksAreSteady;
  const areHarmless = list.every(({ what }) => harmless.has(what.do));
  const hangs = list.some(({ what }) => what.do === 'dumpHangs');
  const longestAbortMs = areHarmless ? restMs + (hangs ? GIVE_UP_MS : dumpEndsMs) : undefined;
  // A CRIU that hangs may take longer to give up than the margin allows.
  const longestHoldMs = holdsEndInTime && areHarmless && !hangs ? retryLimitMs : undefined;
  const monitor = new Monitor(simulation, {
    ...{ holdsEndInTime, clocksAreSteady, longestAbortMs, longestHoldMs },
  });
  const faults = new FaultInjector(simulation, monitor, schedule);
  injector.faults = faults;
  const uninstall = simulation.install();
  const undo = options.mutant?.apply();
  try {
    return await new Run(simulation, monitor, faults, schedule).execute();
  } finally {
    undo?.();
    await uninstall();
  }
}

interface Move {
  readonly podName: string;
  /** Of requests for this pod, made at the same time. One of them is accepted. */
  readonly names: readonly string[];
}

class Run {
  readonly #simulation: Simulation;
  readonly #monitor: Monitor;
  readonly #faults: FaultInjector;
  readonly #schedule: Schedule;
  /** When the first move had ended. */
  #finishedMs: number | undefined;

  constructor(simulation: Simulation, monitor: Monitor, faults: FaultInjector, schedule: Schedule) {
    this.#simulation = simulation;
    this.#monitor = monitor;
    this.#faults = faults;
    this.#schedule = schedule;
  }

  async execute(): Promise<Outcome> {
    const simulation = this.#simulation;
    simulation.start(this.#schedule.scenario === 'retryLimit' ? retryLimit : {});
    const decision = await this.#run(this.#schedule.scenario);
    const { steps, now } = simulation.timeline;
    const missed = this.#faults.missed(this.#schedule.faults);
    const finishedMs = this.#finishedMs && Math.round(this.#finishedMs - startMs);
    return { steps, ms: Math.round(now - startMs), decision, missed, finishedMs };
  }

  async #run(scenario: Schedule['scenario']): Promise<string> {
    switch (scenario) {
      case 'move':
      case 'retryLimit':
        return this.#migrate([{ podName: app, names: ['move'] }]);
      case 'competing':
        return this.#migrate([{ podName: app, names: ['move', 'other'] }]);
      case 'several':
        return this.#migrate(
          [app, ...Object.keys(furtherApps)].map((podName) => ({
            podName,
            names: [`move-${podName}`],
          })),
        );
      case 'return': {
        const there = await this.#migrate([{ podName: app, names: ['move'] }]);
        const [pod] = this.#simulation.store.all('Pod');
        if (!pod) return there;
        return this.#migrate([{ podName: pod.metadata.name, names: ['return'] }]);
      }
      case 'checkpoint':
        return this.#checkpointAndRestore();
      case 'recover':
        return this.#migrateWithCheckpoint();
    }
  }

  /** Makes the requests of all moves at the same time. */
  async #migrate(moves: readonly Move[], spec: object = {}): Promise<string> {
    const simulation = this.#simulation;
    const { store } = simulation;
    const { deletedPods } = this.#faults;
    const kind = 'MigrationRequest';
    const names = moves.flatMap((move) => move.names);
    /** The request of each move that was accepted, by the name of the pod. */
    const accepted = new Map<string, StoredObject>();
    store.onChange(({ after }) => {
      if (!after || after.kind !== kind || !names.includes(after.metadata.name)) return;
      if (after.status?.['source'] === undefined) return;
      accepted.set(String(after.spec?.['podName']), after);
      if (isFinished(after)) this.#finishedMs ??= simulation.timeline.now;
    });
    for (const move of moves) {
      for (const name of move.names)
        store.create(requestBody(kind, name, { podName: move.podName, ...spec }), { by: 'user' });
    }
    const left = (): string[] => [
      ...unfinished(simulation, deletedPods),
      ...moves.flatMap(({ podName }) =>
        wrongPods(simulation, accepted.get(podName), podName, deletedPods),
      ),
    ];
    await this.#stepUntilNone(left);
    for (const name of names) asUser(() => store.delete(keyOf(kind, name), undefined, 0));
    for (const other of ['RestoreRequest', 'CheckpointRequest']) {
      for (const { metadata } of store.all(other))
        asUser(() => store.delete(keyOf(other, metadata.name), undefined, 0));
    }
    await this.#stepUntilNone(() => [...left(), ...nodeRecords(simulation)]);
    return [...new Set(moves.map(({ podName }) => endOf(accepted.get(podName))))].sort().join(', ');
  }

  async #migrateWithCheckpoint(): Promise<string> {
    await this.#checkpoint();
    return this.#migrate([{ podName: app, names: ['move'] }], {
      onSourceLoss: 'RestoreNewestCheckpoint',
    });
  }

  async #checkpointAndRestore(): Promise<string> {
    const simulation = this.#simulation;
    const { store } = simulation;
    const { deletedPods } = this.#faults;
    await this.#checkpoint();
    const spec = { checkpointName: 'saved' };
    store.create(requestBody('RestoreRequest', 'again', spec), { by: 'user' });
    const last: { request?: StoredObject } = {};
    store.onChange(({ after }) => {
      if (after?.kind === 'RestoreRequest') last.request = after;
    });
    await this.#stepUntilNone(() => unfinished(simulation, deletedPods));
    for (const kind of ['RestoreRequest', 'CheckpointRequest']) {
      const name = kind === 'RestoreRequest' ? 'again' : 'saved';
      asUser(() => store.delete(keyOf(kind, name), undefined, 0));
    }
    const left = (): string[] => [
      ...unfinished(simulation, deletedPods),
      ...nodeRecords(simulation),
    ];
    await this.#stepUntilNone(left);
    return `restore ${decisionText(last.request)}`;
  }

  async #checkpoint(): Promise<void> {
    const { store } = this.#simulation;
    store.create(requestBody('CheckpointRequest', 'saved', { podName: app }), { by: 'user' });
    await this.#stepUntilNone(() => unfinished(this.#simulation, this.#faults.deletedPods));
  }

  /**
   * Steps until `left` finds nothing more. Faults end when their window is over.
   * @throws ViolationError `NotSettled`
   */
  async #stepUntilNone(left: () => string[]): Promise<void> {
    const { timeline } = this.#simulation;
    const begun = timeline.now;
    let isHealed = false;
    for (;;) {
      const hasStepped = await timeline.step();
      this.#faults.stepDone();
      this.#monitor.check();
      if (timeline.crashes.length > 0) throw timeline.crashes[0];
      const faultsAreOver = timeline.now > this.#faults.endsAt;
      const isCheckDue = timeline.steps % checkEverySteps === 0 || !hasStepped;
      if (faultsAreOver && isCheckDue && left().length === 0) return;
      const spent = timeline.now - begun;
      if (!isHealed && spent > faultWindowMs && timeline.now > this.#faults.endsAt) {
        isHealed = true;
        this.#faults.stop();
        this.#simulation.heal();
      }
      if (!hasStepped || spent > faultWindowMs + recoveryMs || timeline.steps > maxSteps) {
        throw new ViolationError('NotSettled', left().join('; ') || 'nothing is left');
      }
    }
  }
}

const keyOf = (kind: string, name: string): ObjectKey => ({ kind, namespace, name });

/** What became of a move, for people. */
function endOf(request: StoredObject | undefined): string {
  const { recovery } = (request?.status ?? {}) as {
    recovery?: { restoreRequestName?: string };
  };
  return `${decisionText(request)}${recovery?.restoreRequestName === undefined ? '' : ' restored'}`;
}

function decisionText(request: StoredObject | undefined): string {
  const decision = decisionOf(request);
  return decision ? `${decision.outcome} ${decision.reason}` : 'not begun';
}

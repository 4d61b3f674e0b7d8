// SPDX-License-Identifier: Apache-2.0
// One run of a schedule: the cluster begins, the user asks, faults strike, faults stop, and in fair time all must end well.
import { annotations } from '../../crds/src/index.ts';
import type { Logger } from '../../kube/src/index.ts';
import type { Stored } from './api/objects.ts';
import { decisionOf } from './api/rules.ts';
import type { Target } from './api/store.ts';
import { leftInJournals, missing, open } from './ending.ts';
import { Faults, request } from './faults.ts';
import type { Mistake } from './mistakes.ts';
import { Monitor, ViolationError } from './monitor.ts';
import type { Schedule } from './schedule.ts';
import { began, namespace, Simulation } from './world.ts';

/** Faults that have not found their moment by then find none. */
const faultsMs = 240_000;
/** Fair time: longer than every deadline of the product, one after the other, and than the hour of images without owner. */
const fairMs = 4_500_000;
const maxSteps = 60_000;
const lookEverySteps = 25;
/** The pod's peers give up after six of the longest RNR timers. */
const impatience = { [annotations.peerRnrRetry]: '6' };

export interface Outcome {
  readonly steps: number;
  /** Virtual milliseconds. */
  readonly ms: number;
  readonly decision: string;
}

export interface RunOptions {
  readonly mistake?: Mistake | undefined;
  readonly log?: ((process: string) => Logger) | undefined;
}

/** @throws ViolationError */
export async function run(schedule: Schedule, options: RunOptions = {}): Promise<Outcome> {
  const points: { faults?: Faults } = {};
  const world = new Simulation({
    seed: schedule.seed,
    containers: schedule.containers,
    log: options.log,
    hooks: options.mistake?.hooks,
    onPoint: (name) => points.faults?.passed(name),
  });
  // More than one fault, or a clock that jumps, may keep both agents from ending a hold in time.
  const { scenario, faults: list } = schedule;
  const isSteady = list.every(({ what }) => what.do !== 'skew');
  const isInTime = scenario === 'impatient' && list.length <= 1 && isSteady;
  const monitor = new Monitor(world, { isInTime, isSteady });
  const faults = new Faults(world, monitor, schedule);
  points.faults = faults;
  const leave = world.enter();
  const undo = options.mistake?.make();
  try {
    return await new Run(world, monitor, faults, schedule).go();
  } finally {
    undo?.();
    await leave();
  }
}

class Run {
  readonly #world: Simulation;
  readonly #monitor: Monitor;
  readonly #faults: Faults;
  readonly #schedule: Schedule;

  constructor(world: Simulation, monitor: Monitor, faults: Faults, schedule: Schedule) {
    this.#world = world;
    this.#monitor = monitor;
    this.#faults = faults;
    this.#schedule = schedule;
  }

  async go(): Promise<Outcome> {
    const world = this.#world;
    world.begin(this.#schedule.scenario === 'impatient' ? impatience : {});
    const decision = await this.#scenario(this.#schedule.scenario);
    const { steps, now } = world.timeline;
    return { steps, ms: Math.round(now - began), decision };
  }

  async #scenario(scenario: Schedule['scenario']): Promise<string> {
    switch (scenario) {
      case 'move':
        return this.#move('app', ['move']);
      case 'rivals':
        return this.#move('app', ['move', 'rival']);
      case 'return': {
        const there = await this.#move('app', ['move']);
        const [pod] = this.#world.store.all('Pod');
        return pod ? this.#move(pod.metadata.name, ['return']) : there;
      }
      case 'checkpoint':
        return this.#checkpoint();
      case 'impatient':
        return this.#move('app', ['move']);
      case 'recover':
        return this.#recover();
    }
  }

  /** @param names of requests for this pod, applied at once: one of them may move it. */
  async #move(podName: string, names: readonly string[], spec: object = {}): Promise<string> {
    const world = this.#world;
    const { store } = world;
    const { deleted } = this.#faults;
    const kind = 'MigrationRequest';
    // The one that was accepted; the others are refused.
    const seen: { one?: Stored } = {};
    store.onChange(({ after }) => {
      if (!after || after.kind !== kind || !names.includes(after.metadata.name)) return;
      if (after.status?.['source'] !== undefined) seen.one = after;
    });
    for (const name of names)
      store.create(request(kind, name, { podName, ...spec }), { by: 'user' });
    const left = (): string[] => [
      ...open(world, deleted),
      ...missing(world, seen.one, podName, deleted),
    ];
    await this.#until(left);
    for (const name of names) world.user(() => store.delete(named(kind, name), undefined, 0));
    for (const other of ['RestoreRequest', 'CheckpointRequest']) {
      for (const { metadata } of store.all(other))
        world.user(() => store.delete(named(other, metadata.name), undefined, 0));
    }
    await this.#until(() => [...left(), ...leftInJournals(world)]);
    const recovery = seen.one?.status?.['recovery'] as { restoreRequestName?: string } | undefined;
    const again = recovery?.restoreRequestName === undefined ? '' : ' restored';
    return `${toldOf(seen.one)}${again}`;
  }

  async #recover(): Promise<string> {
    const world = this.#world;
    const { store } = world;
    store.create(request('CheckpointRequest', 'saved', { podName: 'app' }), { by: 'user' });
    await this.#until(() => open(world, this.#faults.deleted));
    return this.#move('app', ['move'], { onSourceLoss: 'RestoreNewestCheckpoint' });
  }

  async #checkpoint(): Promise<string> {
    const world = this.#world;
    const { store } = world;
    const { deleted } = this.#faults;
    store.create(request('CheckpointRequest', 'saved', { podName: 'app' }), { by: 'user' });
    await this.#until(() => open(world, deleted));
    store.create(request('RestoreRequest', 'again', { checkpointName: 'saved' }), { by: 'user' });
    const seen: { one?: Stored } = {};
    store.onChange(({ after }) => {
      if (after?.kind === 'RestoreRequest') seen.one = after;
    });
    await this.#until(() => open(world, deleted));
    for (const kind of ['RestoreRequest', 'CheckpointRequest']) {
      const name = kind === 'RestoreRequest' ? 'again' : 'saved';
      world.user(() => store.delete(named(kind, name), undefined, 0));
    }
    await this.#until(() => [...open(world, deleted), ...leftInJournals(world)]);
    return `restore ${toldOf(seen.one)}`;
  }

  /** Steps until nothing is open; faults stop after their time. @throws ViolationError `NotSettled` */
  async #until(look: () => string[]): Promise<void> {
    const { timeline } = this.#world;
    const begun = timeline.now;
    let isFair = false;
    for (;;) {
      const goesOn = await timeline.step();
      this.#faults.stepped();
      this.#monitor.check();
      if (timeline.crashes.length > 0) throw timeline.crashes[0];
      const struck = timeline.now > this.#faults.endsAt;
      if (struck && (timeline.steps % lookEverySteps === 0 || !goesOn) && look().length === 0)
        return;
      const spent = timeline.now - begun;
      if (!isFair && spent > faultsMs && timeline.now > this.#faults.endsAt) {
        isFair = true;
        this.#faults.stop();
        this.#world.heal();
      }
      if (!goesOn || spent > faultsMs + fairMs || timeline.steps > maxSteps) {
        throw new ViolationError('NotSettled', look().join('; ') || 'nothing is open');
      }
    }
  }
}

const named = (kind: string, name: string): Target => ({ kind, namespace, name });

function toldOf(request: Stored | undefined): string {
  const decision = decisionOf(request);
  return decision ? `${decision.outcome} ${decision.reason}` : 'not begun';
}

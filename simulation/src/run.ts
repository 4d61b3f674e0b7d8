// SPDX-License-Identifier: Apache-2.0
// One run of a schedule: the cluster begins, the user asks, faults strike, faults stop, and in fair time all must end well.
import { isFinished } from '../../crds/src/index.ts';
import type { Logger } from '../../kube/src/index.ts';
import type { Stored } from './api/objects.ts';
import { leftInJournals, missing, open } from './ending.ts';
import { Faults, request } from './faults.ts';
import type { Mistake } from './mistakes.ts';
import { Monitor, ViolationError } from './monitor.ts';
import type { Schedule } from './schedule.ts';
import { namespace, World } from './world.ts';

/** Faults that have not found their moment by then find none. */
const faultsMs = 240_000;
/** Fair time: longer than every deadline of the product, one after the other. */
const fairMs = 1_200_000;
const maxSteps = 60_000;
const lookEverySteps = 25;

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
  const world = new World({
    seed: schedule.seed,
    log: options.log,
    hooks: options.mistake?.hooks,
    onPoint: (name) => points.faults?.passed(name),
  });
  const monitor = new Monitor(world);
  const faults = new Faults(world, monitor, schedule);
  points.faults = faults;
  const leave = world.enter();
  const undo = options.mistake?.make();
  try {
    return await new Run(world, monitor, faults, schedule).go();
  } finally {
    undo?.();
    leave();
  }
}

class Run {
  readonly #world: World;
  readonly #monitor: Monitor;
  readonly #faults: Faults;
  readonly #schedule: Schedule;

  constructor(world: World, monitor: Monitor, faults: Faults, schedule: Schedule) {
    this.#world = world;
    this.#monitor = monitor;
    this.#faults = faults;
    this.#schedule = schedule;
  }

  async go(): Promise<Outcome> {
    const world = this.#world;
    world.begin();
    const ended =
      this.#schedule.scenario === 'move' ? await this.#move() : await this.#checkpoint();
    return {
      steps: world.timeline.steps,
      ms: Math.round(world.timeline.now - Date.parse('2026-01-01T00:00:00Z')),
      decision: ended,
    };
  }

  async #move(): Promise<string> {
    const world = this.#world;
    const { store } = world;
    store.create(request('MigrationRequest', 'move', { podName: 'app' }), { by: 'user' });
    let last = store.find('MigrationRequest', namespace, 'move') as Stored;
    store.onChange(({ after }) => {
      if (after?.kind === 'MigrationRequest' && after.metadata.name === 'move') last = after;
    });
    const { deleted } = this.#faults;
    await this.#until(() => [...open(world, deleted), ...missing(world, last, deleted)]);
    world.user(() => store.delete({ kind: last.kind, namespace, name: 'move' }, undefined, 0));
    await this.#until(() => [
      ...open(world, deleted),
      ...missing(world, last, deleted),
      ...leftInJournals(world),
    ]);
    const { decision } = last.status as { decision?: { outcome: string; reason: string } };
    return decision ? `${decision.outcome} ${decision.reason}` : 'none';
  }

  async #checkpoint(): Promise<string> {
    const world = this.#world;
    const { store } = world;
    const { deleted } = this.#faults;
    store.create(request('CheckpointRequest', 'saved', { podName: 'app' }), { by: 'user' });
    await this.#until(() => open(world, deleted));
    const saved = store.find('CheckpointRequest', namespace, 'saved');
    if (!saved || !isFinished(saved)) throw new Error('no checkpoint');
    store.create(request('RestoreRequest', 'again', { checkpointName: 'saved' }), { by: 'user' });
    let last = store.find('RestoreRequest', namespace, 'again') as Stored;
    store.onChange(({ after }) => {
      if (after?.kind === 'RestoreRequest') last = after;
    });
    await this.#until(() => open(world, deleted));
    for (const kind of ['RestoreRequest', 'CheckpointRequest']) {
      const name = kind === 'RestoreRequest' ? 'again' : 'saved';
      world.user(() => store.delete({ kind, namespace, name }, undefined, 0));
    }
    await this.#until(() => [...open(world, deleted), ...leftInJournals(world)]);
    const { decision } = last.status as { decision?: { outcome: string; reason: string } };
    return decision ? `restore ${decision.outcome} ${decision.reason}` : 'restore none';
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

// SPDX-License-Identifier: Apache-2.0
// For the walks: which fault points an agent passes and which steps of the report begin or end in each of its effects.
// The agent's own Checkpointer and Restorer run beside the test's node, over a kernel that does nothing.
import { afterEach, expect } from 'vitest';
import { ownFaults } from '../kube/src/faults.ts';
import {
  Checkpointer,
  type CgroupControl,
  type CheckpointerParts,
  type LocalPod,
} from '../node-agent/src/node/dump/checkpointer.ts';
import type { RestoredControl } from '../node-agent/src/node/restore/restored-container.ts';
import { Restorer, type RestorerParts } from '../node-agent/src/node/restore/restorer.ts';
import type { Container } from '../node-agent/src/node/runtime/containers.ts';
import type { Entry } from '../node-agent/src/support/journal/journal.ts';
import { microTimestamp } from '../node-agent/src/support/step-times.ts';
import type { Row } from './steps/row.ts';

type Work = (...all: unknown[]) => Promise<unknown>;
type Methods = Record<string, Work>;

type Effect = NonNullable<Row['effect']>;

/** What an effect passed, each name once, in order. */
export interface Passed {
  readonly faults: string[];
  readonly report: string[];
}

const restores: (() => void)[] = [];
afterEach(() => {
  ownFaults(undefined);
  for (const restore of restores.splice(0)) restore();
});

/** Replaces a method until the test ends. */
function replace(owner: object, name: string, by: (work: Work) => Work): void {
  const methods = owner as Methods;
  const work = methods[name] as Work;
  methods[name] = by(work);
  restores.push(() => void (methods[name] = work));
}

/** Those of docs/faults.md that an agent of a source or a target passes in an effect. */
const isOwn = (point: string): boolean => /^(source|target)\./.test(point);

/** Records what each effect passes. An effect that runs within another one counts by itself. */
export class Passing {
  readonly #passed = new Map<string, Passed>();
  readonly #current: string[] = [];
  readonly #entry: () => Entry | undefined;

  /** @param entry the agent's journal entry */
  constructor(entry: () => Entry | undefined) {
    this.#entry = entry;
    ownFaults((name) => {
      const point = name.replace(/\.(before|after)$/, '');
      if (isOwn(point)) this.#add('faults', point);
      return undefined;
    });
  }

  /** The method does this effect. */
  watch(owner: object, method: string, effect: Effect): void {
    this.#watch(owner, method, () => effect);
  }

  /** The reconciler does every effect in `act`, those excepted that a watched method does. */
  watchAct(reconciler: object, except: readonly Effect[] = []): void {
    this.#watch(reconciler, 'act', (first) => {
      const { type } = first as { type: Effect };
      return except.includes(type) ? undefined : type;
    });
  }

  #watch(owner: object, method: string, effectOf: (first: unknown) => Effect | undefined): void {
    replace(owner, method, (work) => {
      const watched = (all: unknown[], self: unknown) => {
        const effect = effectOf(all[0]);
        const doIt = () => work.apply(self, all);
        return effect === undefined ? doIt() : this.#run(effect, doIt);
      };
      return function (this: unknown, ...all: unknown[]) {
        return watched(all, this);
      };
    });
  }

  /** Expects that each of these rows names what its effect passed, and that no other effect passed anything. */
  expect(rows: readonly Row[]): void {
    for (const row of rows) {
      const passed = this.#passed.get(row.effect ?? '');
      expect(passed, row.effect).toBeDefined();
      expect([...(passed?.faults ?? [])].sort(), row.step).toEqual(
        (row.faults ?? []).filter(isOwn).sort(),
      );
      expect(passed?.report, row.step).toEqual([...(row.report ?? [])]);
    }
    const named = new Set(rows.map(({ effect }) => effect));
    const others = [...this.#passed].filter(([effect]) => !named.has(effect as Row['effect']));
    const empty = { faults: [], report: [] };
    for (const [effect, passed] of others) expect(passed, effect).toEqual(empty);
  }

  async #run(effect: string, work: () => Promise<unknown>): Promise<unknown> {
    if (!this.#passed.has(effect)) this.#passed.set(effect, { faults: [], report: [] });
    this.#current.push(effect);
    const begun = microTimestamp();
    try {
      return await work();
    } finally {
      for (const { name, startTime, endTime = '' } of this.#entry()?.steps ?? []) {
        if (startTime >= begun || endTime >= begun) this.#add('report', name);
      }
      this.#current.pop();
    }
  }

  #add(column: keyof Passed, name: string): void {
    const passed = this.#passed.get(this.#current.at(-1) ?? 'no effect')?.[column];
    if (passed === undefined) throw new Error(`${name} was passed outside of every effect`);
    if (!passed.includes(name)) passed.push(name);
  }
}

const nothing = async (): Promise<undefined> => undefined;
const devices = { hold: nothing, holdButDatagrams: nothing, stopDatagrams: nothing };
const kernel = { lock: nothing, unlock: nothing, ...devices, resume: nothing } as const;
const shown = {
  receiveDatagrams: nothing,
  interfaces: async () => ['net1'],
  devices: async () => [],
  hide: nothing,
  show: nothing,
  announce: nothing,
};

class IdleCheckpointer extends Checkpointer {
  constructor() {
    const exec = { check: nothing, refuse: nothing, allow: nothing };
    super({
      host: { path: (path: string) => path },
      lock: kernel,
      driver: { ...kernel, ...shown },
      exec,
    } as unknown as CheckpointerParts);
  }
  protected override async containers(): Promise<Container[]> {
    return [{ name: 'main', netns: '/run/netns/x', cgroup: '/main' } as Container];
  }
  /** The test's containers have no cgroup. */
  override async freezeTasks(pod: LocalPod): Promise<void> {
    await super.freezeTasks({ ...pod, containers: await this.containers() });
  }
  protected override async endFormerDumps(): Promise<void> {}
  protected override cgroup(): CgroupControl {
    return { freeze: nothing, thaw: nothing, endTcpRepair: nothing, kill: nothing };
  }
  protected override async writeImages(): ReturnType<Checkpointer['writeImages']> {
    return {} as Awaited<ReturnType<Checkpointer['writeImages']>>;
  }
}

const idleFreezer: RestoredControl = {
  ...{ refuseExec: nothing, freeze: nothing, thaw: nothing, killFrozen: nothing },
  resetConnections: nothing,
  state: async () => 'Frozen',
};

class IdleRestorer extends Restorer {
  constructor() {
    const manifest = { containers: [{ name: 'main' }], versions: {}, objects: { qp: 0, mr: 0 } };
    const parts = {
      host: { path: (path: string) => path },
      lock: kernel,
      driver: { ...kernel, ...shown },
      store: { manifest: async () => ({ manifest }), dir: () => '/images' },
      editor: {
        netns: async () => '/run/netns/x',
        addDevices: nothing,
        checkDevices: nothing,
        coverEnvironment: async () => ({}),
      },
      workRoot: '/work',
      socketPath: '/socket',
    };
    super(parts as unknown as RestorerParts, idleFreezer);
  }
  protected override async unpackFiles(): Promise<void> {}
}

/** The test's node passes the fault points of the agent's own methods, before it does its work. */
function passFirst(node: object, own: object, names: readonly string[]): void {
  const methods = own as Methods;
  for (const name of names) {
    replace(node, name, (work) => async (...all) => {
      await methods[name]?.(...all);
      return work(...all);
    });
  }
}

const dumping = ['lockNetwork', 'holdDevice', 'freezeTasks', 'dumpContainers'];
export const passCheckpointer = (node: object): void =>
  passFirst(node, new IdleCheckpointer(), [...dumping, 'resumePod', 'stopPod']);
const restoring = ['prepareRestore', 'answerPeers', 'resumePod', 'thawRestored'];
export const passRestorer = (node: object): void => passFirst(node, new IdleRestorer(), restoring);

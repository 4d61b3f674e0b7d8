// SPDX-License-Identifier: Apache-2.0
// The agent's Restorer and BundleEditor on a simulated node: files, bundles and the plugin's report are replaced; the order of the
// steps and their fault points are the product's code.
import {
  Restorer,
  type RestoreOptions,
  type RestoreOutcome,
  type RestoreToRead,
} from '../../../node-agent/src/node/restore/restorer.ts';
import type { RestoredControl } from '../../../node-agent/src/node/restore/restored-container.ts';
import { AgentError } from '../../../node-agent/src/support/errors.ts';
import { BundleEditor } from '../../../node-agent/src/node/runtime/bundle-editor.ts';
import { runEffect } from './kernel.ts';
import type { Machine } from './machine.ts';

export class SimulatedRestorer extends Restorer {
  readonly #machine: Machine;

  constructor(parts: ConstructorParameters<typeof Restorer>[0], machine: Machine) {
    super(parts, simulatedFreezer(machine));
    this.#machine = machine;
  }

  /** Digests of images on a disk. Nothing damages them there. */
  override async verifyImages(): Promise<void> {
    await runEffect(this.#machine.timeline, 5, () => undefined);
  }

  protected override unpackFiles(
    _dir: string,
    _path: string,
    order: RestoreOptions,
  ): Promise<void> {
    return runEffect(this.#machine.timeline, 10, () => {
      this.#machine.disk.write();
      this.#machine.work.add(order.requestUid);
      if (!order.podFiles) return;
      for (const { state, sandbox } of this.#machine.containersOf(order.create.podUid)) {
        if (state === 'AtResumeGate' || state === 'Running') sandbox.hasReplacedFiles = true;
      }
    });
  }

  override async killRestore(id: string): Promise<void> {
    const { timeline, containers } = this.#machine;
    await runEffect(timeline, 2, () => {
      const container = containers.get(id);
      const isKilled = container?.state === 'Restoring' || container?.state === 'AtResumeGate';
      if (container && isKilled) this.#machine.removeContainer(container);
    });
  }

  /** The product reads the report of CRIU's plugin, and the container's cgroup. */
  override outcome({ id }: RestoreToRead): Promise<RestoreOutcome> {
    return runEffect(this.#machine.timeline, 1, () => {
      const container = this.#machine.containers.get(id);
      switch (container?.state) {
        case undefined:
        case 'Dead':
          return { code: 'RestoreFailed', message: 'the container is gone (simulated)' };
        case 'Running':
          return 'Thawed';
        case 'AtResumeGate':
          return container.started ? 'Frozen' : 'Restoring';
        default:
          return 'Restoring';
      }
    });
  }
}

/** The freezer of restored containers. */
export function simulatedFreezer(machine: Machine): RestoredControl {
  const { timeline, containers } = machine;
  return {
    // The simulation has no exec.
    refuseExec: async (bundle) => {
      for (const one of containers.values()) if (one.bundle === bundle) one.refusesExec = true;
    },
    freeze: ({ id }) =>
      runEffect(timeline, 3, () => {
        const container = containers.get(id);
        if (container?.state === 'Restoring') container.state = 'AtResumeGate';
        if (container?.state === 'AtResumeGate') return;
        throw new AgentError('RestoreFailed', 'the container is gone (simulated)');
      }),
    // No simulated pod has connections that it loses.
    resetConnections: () => Promise.resolve(),
    thaw: ({ id }) =>
      runEffect(timeline, 3, () => {
        const container = containers.get(id);
        if (container?.state === 'AtResumeGate') container.state = 'Running';
        if (container) container.refusesExec = false;
      }),
    killFrozen: ({ id }) =>
      runEffect(timeline, 1, () => {
        const container = containers.get(id);
        if (container?.state === 'AtResumeGate') machine.removeContainer(container);
      }),
    state: async () => 'Restoring',
  };
}

export class SimulatedBundleEditor extends BundleEditor {
  readonly #machine: Machine;

  constructor(parts: ConstructorParameters<typeof BundleEditor>, machine: Machine) {
    super(...parts);
    this.#machine = machine;
  }

  override netns(bundle: string): Promise<string | undefined> {
    return runEffect(this.#machine.timeline, 0.3, () => {
      const all = [...this.#machine.containers.values()];
      const container = all.find((one) => one.bundle === bundle);
      if (!container) throw Object.assign(new Error('no such bundle'), { code: 'ENOENT' });
      return container.sandbox.taskNetns;
    });
  }

  override checkDevices(): Promise<void> {
    return Promise.resolve();
  }

  override addDevices(): ReturnType<BundleEditor['addDevices']> {
    const uverbs = { name: 'uverbs0', hostPath: '/dev/infiniband/uverbs0', major: 231, minor: 192 };
    return runEffect(this.#machine.timeline, 1, () => uverbs);
  }

  override coverEnvironment(): Promise<Record<string, string>> {
    return Promise.resolve({});
  }
}

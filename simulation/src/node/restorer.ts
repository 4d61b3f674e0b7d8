// SPDX-License-Identifier: Apache-2.0
// The agent's Restorer and BundleEditor on a simulated node: files, bundles and the plugin's report are replaced; the order of the
// steps and their fault points are the product's code.
import {
  Restorer,
  type RestoreOptions,
  type RestoreToRead,
} from '../../../node-agent/src/node/restore/restorer.ts';
import type { RestoreOutcome } from '../../../node-agent/src/node/runtime/criu-outcome.ts';
import { BundleEditor } from '../../../node-agent/src/node/runtime/bundle-editor.ts';
import { runEffect } from './kernel.ts';
import type { Machine } from './machine.ts';

export class SimulatedRestorer extends Restorer {
  readonly #machine: Machine;

  constructor(parts: ConstructorParameters<typeof Restorer>[0], machine: Machine) {
    super(parts);
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
      if (container?.state === 'Restoring') this.#machine.removeContainer(container);
    });
  }

  /** The product reads the report of CRIU's plugin. */
  override outcome(of: RestoreToRead): Promise<RestoreOutcome> {
    return runEffect(this.#machine.timeline, 1, () => {
      const { containers, detached } = this.#machine;
      if (detached.has(`${of.requestUid}/${of.container}`)) return 'Detached';
      const container = [...containers.values()].find((one) => one.bundle === of.bundle);
      if (container && container.state !== 'Dead') return 'Restoring';
      return { code: 'RestoreFailed', message: 'the bundle is gone (simulated)' };
    });
  }
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
      return container.sandbox.netns;
    });
  }

  override addUverbs(): ReturnType<BundleEditor['addUverbs']> {
    const uverbs = { name: 'uverbs0', hostPath: '/dev/infiniband/uverbs0', major: 231, minor: 192 };
    return runEffect(this.#machine.timeline, 1, () => uverbs);
  }

  override coverEnvironment(): Promise<Record<string, string>> {
    return Promise.resolve({});
  }
}

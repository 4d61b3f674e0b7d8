// SPDX-License-Identifier: Apache-2.0
// The agent's classes whose work is files and programs of the host, with that work done on a simulated node. What they
// decide and in which order they do it is the product's own code; the methods replaced here are its lowest ones.
import {
  Checkpointer,
  type DumpResult,
  type CgroupControl,
  type LocalPod,
} from '../../../node-agent/src/node/dump/checkpointer.ts';
import { AgentError } from '../../../node-agent/src/support/errors.ts';
import type { Folder } from '../../../node-agent/src/support/journal/folder.ts';
import { Restorer, type RestoreOptions } from '../../../node-agent/src/node/restore/restorer.ts';
import { BundleEditor } from '../../../node-agent/src/node/runtime/bundle-editor.ts';
import type { Container as RuntimeContainer } from '../../../node-agent/src/node/runtime/containers.ts';
import {
  digestOf,
  formatManifest,
  type Manifest,
  type ManifestHeader,
} from '../../../node-agent/src/node/transfer/manifest.ts';
import { ImageStore } from '../../../node-agent/src/node/transfer/image-store.ts';
import { DeadlineError, withFaults } from '../../../kube/src/index.ts';
import { effect } from './kernel.ts';
import { speaker, type Container, type Machine, type Memory } from './machine.ts';

/** What the next attempts of a node's programs do. */
export interface Luck {
  dumpFails: boolean;
  /** CRIU hangs in it until it is cut. */
  dumpHangs: boolean;
  freezeFails: boolean;
}

/** The journal's folder: a file is the old one or the new one, whenever the agent dies. */
export class SimulatedFolder implements Folder {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  names(): Promise<string[]> {
    return this.#effect(() => [...this.#machine.journal.keys()]);
  }

  read(name: string): Promise<string> {
    return this.#effect(() => this.#machine.journal.get(name) ?? '');
  }

  async replace(name: string, text: string): Promise<void> {
    await withFaults('journal.replace', () =>
      this.#effect(() => this.#machine.journal.set(name, text)),
    );
  }

  async remove(name: string): Promise<void> {
    await this.#effect(() => this.#machine.journal.delete(name));
  }

  #effect<T>(work: () => T): Promise<T> {
    return effect(this.#machine.timeline, 0.5, work);
  }
}

export class SimulatedCheckpointer extends Checkpointer {
  readonly #machine: Machine;
  readonly #luck: Luck;

  constructor(parts: ConstructorParameters<typeof Checkpointer>[0], machine: Machine, luck: Luck) {
    super(parts);
    this.#machine = machine;
    this.#luck = luck;
  }

  protected override containers(podUid: string): Promise<RuntimeContainer[]> {
    return effect(this.#machine.timeline, 1, () => {
      const found = this.#machine.containersOf(podUid);
      // runc keeps no state of a container that is not made yet.
      return found
        .filter(({ state }) => state === 'Running' || state === 'Frozen')
        .map((one) => describe(one));
    });
  }

  /** No CRIU of a simulated node outlives its agent. */
  protected override async endFormerDumps(): Promise<void> {}

  protected override cgroup(dir: string): CgroupControl {
    const { timeline, containers } = this.#machine;
    const id = dir.split('/').at(-1) ?? '';
    const set = (from: Container['state'], to: Container['state'], ms: number) =>
      effect(timeline, ms, () => {
        const container = containers.get(id);
        if (!container) throw new AgentError('RuntimeFailed', 'the container is gone');
        if (to === 'Frozen' && this.#luck.freezeFails) {
          this.#luck.freezeFails = false;
          throw new AgentError('RuntimeFailed', 'the container did not freeze within 10 s');
        }
        if (container.state === from) container.state = to;
      });
    return {
      freeze: () => set('Running', 'Frozen', 3),
      thaw: () => set('Frozen', 'Running', 3),
      endTcpRepair: () => Promise.resolve(),
      kill: () =>
        effect(timeline, 1, () => {
          const container = containers.get(id);
          if (container) container.state = 'Dead';
        }),
    };
  }

  protected override async writeImages(
    pod: LocalPod,
    id: string,
    signal?: AbortSignal,
  ): Promise<DumpResult> {
    const machine = this.#machine;
    machine.images.delete(id);
    if (this.#luck.dumpHangs) {
      this.#luck.dumpHangs = false;
      await interrupted(signal);
      return effect(machine.timeline, 1000, () => {
        machine.work.add(id);
        throw new AgentError('CheckpointFailed', 'CRIU was interrupted (simulated)');
      });
    }
    return effect(machine.timeline, 300, () => {
      machine.work.add(id);
      const memories: Record<string, Memory> = {};
      for (const { id: of } of pod.containers) {
        const container = machine.containers.get(of);
        if (!container?.memory || container.state === 'Dead' || this.#luck.dumpFails) {
          this.#luck.dumpFails = false;
          throw new AgentError('CheckpointFailed', 'CRIU could not dump the pod (simulated)');
        }
        const { name, memory, sandbox } = container;
        const done = memory.done + (name === speaker ? sandbox.pending : 0);
        memories[name] = { lineage: memory.lineage, done };
      }
      machine.images.set(id, { id, manifest: undefined, memories });
      const containers = Object.keys(memories).map((name) => ({ name }));
      const identity = { qpns: [], lkeys: [], rkeys: [], gids: [], ips: [], macs: [] };
      const [objects, bytes] = [
        { qp: 1, cq: 1, mr: 1 },
        { pages: 1, verbs: 1, rootfs: 1 },
      ];
      const versions = { sealift: '0', driverAbi: 'rxe-1', kernel: '6.12' };
      const header: ManifestHeader = {
        ...{ version: 1, id, createdAt: '', versions, containers },
        ...{ volumes: [], identity, bytes, objects },
      };
      return { header, identity, objects, bytes };
    });
  }
}

/** A decision alone interrupts no CRIU: what is merely not needed any more goes on. */
function interrupted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    signal?.addEventListener('abort', () => {
      if (signal.reason instanceof DeadlineError) resolve();
    });
  });
}

function describe({ id, bundle, name, podUid, sandbox }: Container): RuntimeContainer {
  return {
    ...{ id, bundle, podUid, sandboxId: sandbox.id, namespace: 'default', pod: '', name },
    ...{ pid: 1, cgroup: `/cgroup/${id}`, netns: sandbox.netns },
    spec: { annotations: {}, mounts: [], linux: { namespaces: [], resources: { devices: [] } } },
  };
}

export class SimulatedRestorer extends Restorer {
  readonly #machine: Machine;

  constructor(parts: ConstructorParameters<typeof Restorer>[0], machine: Machine) {
    super(parts);
    this.#machine = machine;
  }

  /** Digests of what lies on a disk: nothing damages it there. */
  override async verifyImages(): Promise<void> {
    await effect(this.#machine.timeline, 5, () => undefined);
  }

  protected override unpackFiles(_dir: string, path: string, order: RestoreOptions): Promise<void> {
    return effect(this.#machine.timeline, 10, () => {
      this.#machine.work.add(path.split('/').at(-2) ?? '');
      if (!order.podFiles) return;
      for (const { state, sandbox } of this.#machine.containersOf(order.create.podUid)) {
        if (state === 'AtResumeGate' || state === 'Running') sandbox.spoilt = true;
      }
    });
  }

  override async killRestore(id: string): Promise<void> {
    const { timeline, containers } = this.#machine;
    await effect(timeline, 2, () => {
      const container = containers.get(id);
      if (container?.state === 'Restoring') this.#machine.removeContainer(container);
    });
  }

  /** CRIU's log says so at the end of a restore. */
  override isDetached(requestUid: string, container: string): Promise<boolean> {
    const { timeline, released } = this.#machine;
    return effect(timeline, 1, () => released.has(`${requestUid}/${container}`));
  }

  override failureReason(
    order: Parameters<Restorer['failureReason']>[0],
  ): ReturnType<Restorer['failureReason']> {
    return effect(this.#machine.timeline, 1, () => {
      const all = [...this.#machine.containers.values()];
      const container = all.find((one) => one.bundle === order.bundle);
      if (container && container.state !== 'Dead') return undefined;
      return { code: 'RestoreFailed', message: 'the bundle is gone (simulated)' };
    });
  }
}

export class SimulatedEditor extends BundleEditor {
  readonly #machine: Machine;

  constructor(parts: ConstructorParameters<typeof BundleEditor>, machine: Machine) {
    super(...parts);
    this.#machine = machine;
  }

  override netns(bundle: string): Promise<string | undefined> {
    return effect(this.#machine.timeline, 0.3, () => {
      const all = [...this.#machine.containers.values()];
      const container = all.find((one) => one.bundle === bundle);
      if (!container) throw Object.assign(new Error('no such bundle'), { code: 'ENOENT' });
      return container.sandbox.netns;
    });
  }

  override addUverbs(): ReturnType<BundleEditor['addUverbs']> {
    const uverbs = { name: 'uverbs0', hostPath: '/dev/infiniband/uverbs0', major: 231, minor: 192 };
    return effect(this.#machine.timeline, 1, () => uverbs);
  }
}

export class SimulatedStore extends ImageStore {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    super('/checkpoints');
    this.#machine = machine;
  }

  override saveManifest(id: string, manifest: Manifest): Promise<Manifest> {
    return effect(this.#machine.timeline, 3, () => {
      const image = this.#machine.images.get(id);
      if (!image) throw Object.assign(new Error('no such folder'), { code: 'ENOENT' });
      image.manifest = manifest;
      return manifest;
    });
  }

  override seal(id: string, header: ManifestHeader): Promise<Manifest> {
    return this.saveManifest(id, { ...header, files: [] });
  }

  override manifest(id: string): Promise<{ manifest: Manifest; digest: string } | undefined> {
    return effect(this.#machine.timeline, 0.3, () => {
      const manifest = this.#machine.images.get(id)?.manifest;
      return manifest && { manifest, digest: digestOf(formatManifest(manifest)) };
    });
  }

  override async remove(id: string): Promise<void> {
    await effect(this.#machine.timeline, 1, () => this.#machine.images.delete(id));
  }

  override ids(): Promise<string[]> {
    return effect(this.#machine.timeline, 0.3, () => [...this.#machine.images.keys()]);
  }
}

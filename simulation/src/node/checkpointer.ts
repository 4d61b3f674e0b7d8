// SPDX-License-Identifier: Apache-2.0
// The agent's Checkpointer on a simulated node: containers, cgroups and CRIU's dump are replaced; which of them it calls,
// in which order, with which fault points, is the product's code.
import {
  Checkpointer,
  type CgroupControl,
  type LocalPod,
} from '../../../node-agent/src/node/dump/checkpointer.ts';
import type { DumpResult } from '../../../node-agent/src/node/dump/pod-dump.ts';
import type { Container as RuntimeContainer } from '../../../node-agent/src/node/runtime/containers.ts';
import { GIVE_UP_MS } from '../../../node-agent/src/node/runtime/runc.ts';
import {
  MANIFEST_VERSION,
  type ManifestHeader,
} from '../../../node-agent/src/node/transfer/manifest.ts';
import { AgentError } from '../../../node-agent/src/support/errors.ts';
import { runEffect } from './kernel.ts';
import { rdmaContainer, type Container, type Machine, type Memory } from './machine.ts';

/** What the next attempt of CRIU or of the freezer does. */
export interface DumpFaults {
  dumpFails: boolean;
  /** CRIU's images leave no room on the disk, also none for the journal, until they are removed. */
  dumpFills: boolean;
  /** CRIU hangs until the agent interrupts it, and hears of that late. */
  dumpHangs: boolean;
  freezeFails: boolean;
}

/** CRIU has dumped a pod by then, if the schedule says nothing else. */
const usualDumpMs = 300;
/** A CRIU that may write no further has taken its code out of the tasks by then. */
export const dumpEndsMs = 100;

export class SimulatedCheckpointer extends Checkpointer {
  readonly #machine: Machine;
  readonly #faults: DumpFaults;
  readonly #dumpMs: number;

  constructor(
    parts: ConstructorParameters<typeof Checkpointer>[0],
    machine: Machine,
    { faults, dumpMs }: { faults: DumpFaults; dumpMs?: number | undefined },
  ) {
    super(parts);
    this.#machine = machine;
    this.#faults = faults;
    this.#dumpMs = dumpMs ?? usualDumpMs;
  }

  protected override containers(podUid: string): Promise<RuntimeContainer[]> {
    return runEffect(this.#machine.timeline, 1, () => {
      const found = this.#machine.containersOf(podUid);
      // runc keeps no state of a container that is still being created.
      return found
        .filter(({ state }) => state === 'Running' || state === 'Frozen')
        .map((one) => describe(one));
    });
  }

  protected override sandboxNetns(podUid: string): Promise<string | undefined> {
    return runEffect(this.#machine.timeline, 1, () => this.#machine.sandboxes.get(podUid)?.netns);
  }

  /** A CRIU outlives its agent, until the next one ends it. */
  protected override async endFormerDumps(
    containers: readonly Pick<RuntimeContainer, 'id'>[],
  ): Promise<void> {
    for (const { id } of containers) this.#machine.dumps.delete(id);
  }

  /** A file of this machine's would be read in real time, in which the timeline goes on. */
  override leastBytes(): Promise<number> {
    return runEffect(this.#machine.timeline, 1, () => 0);
  }

  override memory(): Promise<{ bytes: number }> {
    return runEffect(this.#machine.timeline, 1, () => ({ bytes: 2 ** 20 }));
  }

  protected override cgroup(dir: string): CgroupControl {
    const { timeline, containers } = this.#machine;
    const id = dir.split('/').at(-1) ?? '';
    const set = (from: Container['state'], to: Container['state'], ms: number) =>
      runEffect(timeline, ms, () => {
        const container = containers.get(id);
        if (!container) throw new AgentError('RuntimeFailed', 'the container is gone');
        if (to === 'Frozen' && this.#faults.freezeFails) {
          this.#faults.freezeFails = false;
          throw new AgentError('RuntimeFailed', 'the container did not freeze within 10 s');
        }
        if (container.state === from) container.state = to;
      });
    return {
      freeze: () => set('Running', 'Frozen', 3),
      thaw: () => set('Frozen', 'Running', 3),
      endTcpRepair: () => Promise.resolve(),
      kill: () =>
        runEffect(timeline, 1, () => {
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
    const { timeline } = machine;
    // It takes the place of a former one.
    const dump = Symbol(id);
    for (const one of pod.containers) machine.dumps.set(one.id, dump);
    machine.images.delete(id);
    machine.work.add(id);
    const isHanging = this.#faults.dumpHangs;
    this.#faults.dumpHangs = false;
    let isGivenUp = false;
    const givenUp = abortOf(signal).then(() => {
      isGivenUp = true;
      const most = isHanging ? GIVE_UP_MS : dumpEndsMs;
      return runEffect(timeline, (most * 2) / 3, () => {
        throw new AgentError('Aborted', 'The dump was given up (simulated).');
      });
    });
    if (isHanging) return givenUp;
    const dumped = runEffect(timeline, this.#dumpMs, () => {
      const isEnded = pod.containers.some((one) => machine.dumps.get(one.id) !== dump);
      if (isGivenUp || isEnded)
        throw new AgentError('Aborted', 'The dump was given up (simulated).');
      const memories: Record<string, Memory> = {};
      if (this.#faults.dumpFills) {
        this.#faults.dumpFills = false;
        machine.disk.fillBy(id);
        machine.images.set(id, { id, manifest: undefined, memories });
      }
      checkDisk(machine);
      for (const { id: containerId } of pod.containers) {
        const container = machine.containers.get(containerId);
        if (!container?.memory || container.state === 'Dead' || this.#faults.dumpFails) {
          this.#faults.dumpFails = false;
          throw new AgentError('CheckpointFailed', 'CRIU could not dump the pod (simulated)');
        }
        const { device } = container.sandbox;
        if (device && (!device.held || device.receivesDatagrams)) {
          throw new AgentError('CheckpointFailed', 'The driver refuses (EBUSY, simulated)');
        }
        const { name, memory, sandbox } = container;
        const done = memory.done + (name === rdmaContainer ? sandbox.pending : 0);
        memories[name] = { application: memory.application, done };
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
        ...{ version: MANIFEST_VERSION, id, createdAt: '', versions, containers },
        ...{ volumes: [], identity, bytes, objects },
      };
      return { header, identity, objects, bytes };
    });
    return Promise.race([dumped, givenUp]);
  }
}

/** What the product makes of a CRIU that could not write. */
function checkDisk({ disk }: Machine): void {
  try {
    disk.write();
  } catch (cause) {
    throw new AgentError(
      disk.isFull ? 'DiskFull' : 'CheckpointFailed',
      'CRIU could not write its images (simulated)',
      { cause },
    );
  }
}

/** The file sealift-moving in the containers' bundles. The simulation has no exec. */
export function simulatedExec({
  containers,
}: Machine): ConstructorParameters<typeof Checkpointer>[0]['exec'] {
  const set = (bundles: readonly { bundle: string }[], refusesExec: boolean): void => {
    for (const container of containers.values()) {
      if (bundles.some(({ bundle }) => bundle === container.bundle)) {
        container.refusesExec = refusesExec;
      }
    }
  };
  return {
    check: async () => undefined,
    refuse: async (bundles) => set(bundles, true),
    allow: async (bundles) => set(bundles, false),
    allowOrphans: async (isMoving) => {
      set(
        [...containers.values()].filter(({ podUid }) => !isMoving(podUid)),
        false,
      );
    },
  };
}

/** Resolves when the signal aborts, for whatever reason. */
function abortOf(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve();
    else signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

function describe({ id, bundle, name, podUid, sandbox }: Container): RuntimeContainer {
  return {
    ...{ id, bundle, podUid, sandboxId: sandbox.id, namespace: 'default', pod: '', name },
    ...{ pid: 1, cgroup: `/cgroup/${id}`, netns: sandbox.taskNetns },
    spec: { annotations: {}, mounts: [], linux: { namespaces: [], resources: { devices: [] } } },
  };
}

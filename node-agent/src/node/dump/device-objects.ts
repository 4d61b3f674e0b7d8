// SPDX-License-Identifier: Apache-2.0
// Compares the objects on a pod's RDMA devices with those that a dump would write, before the agent holds anything. CRIU
// reports some differences only in the pause, and others never.
import type { Fabric, GidEntry } from '../../../../crds/src/index.ts';
import type { RdmaDevice, RxeEventFile } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { RdmaDriver } from '../device/driver.ts';
import {
  foreignInterfaces,
  otherIndexes,
  unknownAddresses,
  type AddressUse,
} from '../device/source-addresses.ts';
import { unknownFiles, type VerbsFile } from '../device/event-files.ts';
import type { NameProcess, OpenContext } from '../device/object-names.ts';
import { firstToGiveUp, type LimitedQueuePair } from '../device/retry-budget.ts';
import { unmovableObjects, type DeviceUse } from '../device/supported-objects.ts';
import type { Host } from '../host/host.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import { readMemoryMap, type Mapping } from '../runtime/memory-map.ts';
import { printable, PROC, readProcess } from '../runtime/process.ts';
import { throwFirst } from './findings.ts';
import { foundInEach } from './looks.ts';
import { queuesOf, verbsFilesOf } from './verbs-files.ts';

/** Processes open and close contexts between the lists, so only what is wrong in each of these looks is reported. */
const BETWEEN_MS = 100;

export interface DeviceObjectsParts {
  host: Host;
  driver: Pick<RdmaDriver, 'devices' | 'objects' | 'contexts' | 'eventFiles' | 'gids'>;
  /** The directory /proc. */
  proc?: string;
  sleep?: (ms: number) => Promise<unknown>;
}

type Looked = Pick<Container, 'name' | 'cgroup'>;

/** What one look has found of a pod's processes. */
interface Processes {
  /** Names of their containers. */
  containers: ReadonlyMap<number, string>;
  files: readonly VerbsFile[];
  maps: Map<number, Mapping[]>;
}

export class DeviceObjects {
  readonly #parts: DeviceObjectsParts;

  constructor(parts: DeviceObjectsParts) {
    this.#parts = parts;
  }

  /**
   * Changes nothing.
   * @param netns of the pod, whose devices are looked at
   * @throws AgentError UnsupportedObject, which names the process, the object and what to do; DriverMissing
   */
  check(netns: string, containers: readonly Looked[]): Promise<void> {
    return throwFirst(this.findings(netns, containers));
  }

  /** Everything that is wrong in each of the looks, object by object. Changes nothing. @throws AgentError DriverMissing */
  async *findings(netns: string, containers: readonly Looked[]): AsyncGenerator<AgentError> {
    const reasons = await foundInEach(
      () => this.#reasonsOf(netns, containers),
      (reason) => reason,
      { betweenMs: BETWEEN_MS, sleep: this.#parts.sleep },
    );
    for (const reason of reasons) yield new AgentError('UnsupportedObject', reason);
  }

  /**
   * Every address that objects of the pod use has the same index on the target. Changes nothing.
   * @param target its GID tables
   * @throws AgentError UnsupportedObject, which names the object, the index and both addresses; DriverMissing
   */
  async checkAddresses(
    netns: string,
    containers: readonly Looked[],
    target: readonly GidEntry[],
  ): Promise<void> {
    const found = this.#addressReasons(netns, containers, (use, nameOf) =>
      otherIndexes(use, target, nameOf),
    );
    await throwFirst(found);
  }

  /**
   * Addresses that objects of the pod use and no target has. Changes nothing.
   * @param fabric those that a target gets
   */
  addressFindings(
    netns: string,
    containers: readonly Looked[],
    fabric: Pick<Fabric, 'interfaces'>,
  ): AsyncGenerator<AgentError> {
    return this.#addressReasons(netns, containers, (use, nameOf) =>
      unknownAddresses(use, fabric, nameOf),
    );
  }

  async *#addressReasons(
    netns: string,
    looked: readonly Looked[],
    reasonsOf: (use: AddressUse, nameOf: NameProcess) => Iterable<string>,
  ): AsyncGenerator<AgentError> {
    const { driver } = this.#parts;
    const { containers } = await this.#processesOf(looked);
    for (const { name: device, netdev } of await driver.devices(netns)) {
      if (netdev === undefined) continue;
      const opened = await this.#openContexts(netns, device, containers);
      const objects = await driver.objects(netns, device);
      const gids = await driver.gids(netns, device);
      const nameOf = await this.#namesOf({ device, objects, opened, containers });
      const use = { device, interface: netdev, gids, objects, opened };
      for (const reason of reasonsOf(use, nameOf))
        yield new AgentError('UnsupportedObject', reason);
    }
  }

  /** The queue pair of the pod whose peer gives up first; undefined if none does. @throws AgentError DriverMissing */
  async firstPeerToGiveUp(netns: string): Promise<LimitedQueuePair | undefined> {
    let first: LimitedQueuePair | undefined;
    for (const { name: device } of await this.#parts.driver.devices(netns)) {
      const found = firstToGiveUp(await this.#parts.driver.objects(netns, device));
      if (!found || (first && first.peer.budgetMs <= found.peer.budgetMs)) continue;
      const { number, handle, owner, peer } = found;
      first = { device, number, handle, peer, owner: await this.#nameOf(owner) };
    }
    return first;
  }

  async #reasonsOf(netns: string, looked: readonly Looked[]): Promise<string[]> {
    const devices = await this.#parts.driver.devices(netns);
    const processes = await this.#processesOf(looked);
    const reasons: string[] = [];
    const [opened, eventFiles]: [OpenContext[], RxeEventFile[]] = [[], []];
    for (const device of devices) {
      const use = await this.#use(netns, device, devices.length === 1, looked, processes);
      opened.push(...use.opened);
      eventFiles.push(...(use.eventFiles ?? []));
      const nameOf = await this.#namesOf(use);
      reasons.push(...unmovableObjects(use, nameOf));
      if (device.netdev === undefined) continue;
      const gids = await this.#parts.driver.gids(netns, device.name);
      const addresses = { ...use, interface: device.netdev, gids };
      reasons.push(...foreignInterfaces(addresses, nameOf));
    }
    const nameOf = await this.#names(processes.files.map(({ pid }) => pid));
    reasons.push(...unknownFiles(processes.files, { opened, eventFiles }, nameOf));
    return reasons;
  }

  /** @param isOnly the pod has no other device, so that all queues are its */
  async #use(
    netns: string,
    device: RdmaDevice,
    isOnly: boolean,
    looked: readonly Looked[],
    { containers, maps: all }: Processes,
  ): Promise<DeviceUse> {
    const { driver, proc = PROC } = this.#parts;
    const { name } = device;
    const opened = await this.#openContexts(netns, name, containers);
    const eventFiles: RxeEventFile[] = [];
    for (const { name: container } of looked) {
      const pids = [...containers].flatMap(([pid, its]) => (its === container ? [pid] : []));
      eventFiles.push(...(await driver.eventFiles(netns, name, pids)));
    }
    // After what processes have mapped and open: what they have made since is no reason.
    const objects = await driver.objects(netns, name);
    const maps = new Map(all);
    for (const { memory, owner } of objects) {
      if (!memory || owner === undefined || maps.has(owner)) continue;
      const map = await readMemoryMap(owner, proc);
      if (map) maps.set(owner, map);
    }
    const mapped = isOnly ? maps : await queuesOf(device, maps, proc);
    return { device: name, objects, opened, maps: mapped, containers, eventFiles };
  }

  async #processesOf(looked: readonly Looked[]): Promise<Processes> {
    const { host, proc = PROC } = this.#parts;
    const containers = new Map<number, string>();
    const files: VerbsFile[] = [];
    const maps = new Map<number, Mapping[]>();
    for (const { name, cgroup } of looked) {
      if (cgroup === undefined) continue;
      for (const pid of await new Cgroup(host.path(cgroup)).tasks()) {
        containers.set(pid, name);
        files.push(...(await verbsFilesOf(pid, proc)));
        const map = await readMemoryMap(pid, proc);
        if (map) maps.set(pid, map);
      }
    }
    return { containers, files, maps };
  }

  async #openContexts(
    netns: string,
    device: string,
    containers: ReadonlyMap<number, string>,
  ): Promise<OpenContext[]> {
    const opened: OpenContext[] = [];
    for (const [pid, container] of containers) {
      for (const context of await this.#parts.driver.contexts(netns, device, pid)) {
        opened.push({ ...context, pid, container });
      }
    }
    return opened;
  }

  #namesOf({ objects, opened, containers }: DeviceUse): Promise<NameProcess> {
    return this.#names([
      ...objects.flatMap(({ owner }) => (owner === undefined ? [] : [owner])),
      ...opened.map(({ pid }) => pid),
      ...(containers?.keys() ?? []),
    ]);
  }

  async #names(pids: readonly number[]): Promise<NameProcess> {
    const names = new Map<number, string>();
    for (const pid of new Set(pids)) names.set(pid, await this.#nameOf(pid));
    return (pid) => names.get(pid) ?? `Process ${pid}`;
  }

  async #nameOf(pid: number | undefined): Promise<string> {
    if (pid === undefined) return 'A process that has ended';
    const process = await readProcess(pid, this.#parts.proc ?? PROC);
    return `Process ${pid}${process ? ` (${printable(process.name)})` : ''}`;
  }
}

// SPDX-License-Identifier: Apache-2.0
// Compares the objects on a pod's RDMA devices with those that a dump would write, before the agent holds anything. CRIU
// reports some differences only in the pause, and others never.
import { setTimeout as sleep } from 'node:timers/promises';
import type { RxeObject } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { RdmaDriver } from '../device/driver.ts';
import { firstToGiveUp, type LimitedQueuePair } from '../device/retry-budget.ts';
import { unmovableObjects, type OpenContext, type DeviceUse } from '../device/supported-objects.ts';
import type { Host } from '../host/host.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import { readMemoryMap, type Mapping } from '../runtime/memory-map.ts';
import { printable, PROC, readProcess } from '../runtime/process.ts';

/** Processes open and close contexts between the lists, so only what is wrong in each of these looks is reported. */
const LOOKS = 3;
const BETWEEN_MS = 100;

export interface DeviceObjectsParts {
  host: Host;
  driver: Pick<RdmaDriver, 'devices' | 'objects' | 'contexts'>;
  /** The directory /proc. */
  proc?: string;
  sleep?: (ms: number) => Promise<unknown>;
}

type Looked = Pick<Container, 'name' | 'cgroup'>;

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
  async check(netns: string, containers: readonly Looked[]): Promise<void> {
    for (const { name } of await this.#parts.driver.devices(netns)) {
      let reason: string | undefined;
      for (let look = 0; look < LOOKS; look++) {
        if (look > 0) await (this.#parts.sleep ?? sleep)(BETWEEN_MS);
        [reason] = await this.#reasonsOf(netns, name, containers);
        if (reason === undefined) break;
      }
      if (reason !== undefined) throw new AgentError('UnsupportedObject', reason);
    }
  }

  /** Everything that is wrong in each of the looks, object by object. Changes nothing. @throws AgentError DriverMissing */
  async *findings(netns: string, containers: readonly Looked[]): AsyncGenerator<AgentError> {
    for (const { name } of await this.#parts.driver.devices(netns)) {
      let reasons = await this.#reasonsOf(netns, name, containers);
      for (let look = 1; look < LOOKS && reasons.length > 0; look++) {
        await (this.#parts.sleep ?? sleep)(BETWEEN_MS);
        const now = new Set(await this.#reasonsOf(netns, name, containers));
        reasons = reasons.filter((reason) => now.has(reason));
      }
      for (const reason of reasons) yield new AgentError('UnsupportedObject', reason);
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

  async #reasonsOf(
    netns: string,
    device: string,
    containers: readonly Looked[],
  ): Promise<string[]> {
    const objects = await this.#parts.driver.objects(netns, device);
    const opened = await this.#openContexts(netns, device, containers);
    const maps = await this.#mapsOf(objects);
    const names = await this.#namesOf({ device, objects, opened });
    const nameOf = (pid: number): string => names.get(pid) ?? `Process ${pid}`;
    return [...unmovableObjects({ device, objects, opened, maps }, nameOf)];
  }

  /** Of the processes that have regions. */
  async #mapsOf(objects: readonly RxeObject[]): Promise<Map<number, Mapping[]>> {
    const maps = new Map<number, Mapping[]>();
    for (const { memory, owner } of objects) {
      if (!memory || owner === undefined || maps.has(owner)) continue;
      const map = await readMemoryMap(owner, this.#parts.proc ?? PROC);
      if (map) maps.set(owner, map);
    }
    return maps;
  }

  async #openContexts(
    netns: string,
    device: string,
    containers: readonly Looked[],
  ): Promise<OpenContext[]> {
    const { host, driver } = this.#parts;
    const opened: OpenContext[] = [];
    for (const { name: container, cgroup } of containers) {
      if (cgroup === undefined) continue;
      for (const pid of await new Cgroup(host.path(cgroup)).tasks()) {
        for (const context of await driver.contexts(netns, device, pid)) {
          opened.push({ ...context, pid, container });
        }
      }
    }
    return opened;
  }

  async #namesOf({ objects, opened }: DeviceUse): Promise<Map<number, string>> {
    const pids = new Set([
      ...objects.flatMap(({ owner }) => (owner === undefined ? [] : [owner])),
      ...opened.map(({ pid }) => pid),
    ]);
    const names = new Map<number, string>();
    for (const pid of pids) names.set(pid, await this.#nameOf(pid));
    return names;
  }

  async #nameOf(pid: number | undefined): Promise<string> {
    if (pid === undefined) return 'A process that has ended';
    const process = await readProcess(pid, this.#parts.proc ?? PROC);
    return `Process ${pid}${process ? ` (${printable(process.name)})` : ''}`;
  }
}

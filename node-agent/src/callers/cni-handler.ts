// SPDX-License-Identifier: Apache-2.0
// The handler of the CNI delegate's calls around the real plugin of a pod's RDMA network (CNI specification 1.0, ADD and
// DEL; docs/architecture.md, "The agent's socket").
//   before  ADD: locks a target's namespace before it has an interface, and asks for a hidden one
//   after   ADD: makes the pod's rxe device, and holds a target's
//   del     DEL: removes the device before the plugin removes the interface
import { annotations } from '../../../crds/src/index.ts';
import { withFaults, type Pod } from '../../../kube/src/index.ts';
import { AgentError, isErrno } from '../support/errors.ts';
import type { NetworkLock } from '../node/lock/network-lock.ts';
import type { Host } from '../node/host/host.ts';
import { fabricKeptBy } from '../support/kept-by.ts';
import type { Journal } from '../support/journal/journal.ts';
import { refuseMovedAway } from './moved-away.ts';
import { hasResumed, type RequestLookup, type TargetRequest } from './request-lookup.ts';
import { openableNetns } from '../node/runtime/containers.ts';
import type { CniReply, CniRequest } from '../support/socket-protocol.ts';
import { deviceName, type RdmaDriver } from '../node/device/driver.ts';
import { readHoldAnswer } from '../support/peers.ts';

export interface CniParts {
  host: Host;
  journal: Journal;
  lock: NetworkLock;
  driver: RdmaDriver;
  pods: RequestLookup;
  /** Called once a target's sandbox is being made. */
  recordPreparing(target: TargetRequest): Promise<void>;
}

export class CniHandler {
  readonly #parts: CniParts;

  constructor(parts: CniParts) {
    this.#parts = parts;
  }

  /**
   * May be repeated.
   * @throws AgentError MovedAway, CheckpointUnderWay, NetnsModeShared, DriverMissing, DeviceNameTaken, PodNotFound, BadRequest, LockFailed,
   * HoldFailed; ConnectionError
   */
  async handle(request: CniRequest): Promise<CniReply> {
    const netns = openableNetns(this.#parts.host, request.netns);
    switch (request.phase) {
      case 'before':
        return withFaults('cni.before', () => this.#before(request, netns));
      case 'after':
        await withFaults('cni.after', () => this.#after(request, netns));
        return { ok: true };
      case 'del':
        await withFaults('cni.del', () => this.#remove(netns));
        return { ok: true };
    }
  }

  async #before(request: CniRequest, netns: string): Promise<CniReply> {
    const pod = await this.#parts.pods.getPod(request);
    // A second sandbox of a pod that has moved would announce addresses that the target owns now.
    refuseMovedAway(this.#parts.journal, pod.metadata.uid);
    const target = await this.#parts.pods.targetRequest(pod);
    const moved = fabricKeptBy(pod).length > 0 ? { moved: true as const } : {};
    if (!target || hasResumed(this.#parts.journal, target)) return { ok: true, ...moved };
    await this.#parts.recordPreparing(target);
    await this.#parts.lock.lock(netns, 'total');
    return { ok: true, hide: true, ...moved };
  }

  async #after(request: CniRequest, netns: string): Promise<void> {
    const { driver, pods } = this.#parts;
    await driver.checkNetnsMode();
    const pod = await pods.getPod(request);
    const wanted = pod.metadata.annotations;
    const target = await pods.targetRequest(pod);
    const isTarget = target !== undefined && !hasResumed(this.#parts.journal, target);
    // Also if the interface was not made hidden: another plugin may have made it.
    if (isTarget || request.hidden) await driver.hide(netns, [request.ifname], request.hidden);
    if (request.hidden && !isTarget) await driver.show(netns, [request.ifname]);
    await withFaults('cni.device', () => this.#createDevice(pod, netns, request.ifname));
    if (isTarget) await driver.hold(netns, readHoldAnswer(wanted));
  }

  /**
   * Names of devices are unique in a kernel. Where source and target of a move share one, the source still has the wanted name,
   * and the target gets its own. Elsewhere a name that is taken is a mistake.
   */
  async #createDevice(pod: Pod, netns: string, ifname: string): Promise<void> {
    const { driver, pods } = this.#parts;
    const wanted = deviceName(pod.metadata.uid, pod.metadata.annotations[annotations.rdmaDevice]);
    const own = deviceName(pod.metadata.uid);
    try {
      await driver.create(netns, wanted, ifname);
    } catch (error) {
      const taken = error instanceof AgentError && error.code === 'DeviceNameTaken';
      if (!taken || wanted === own || !(await pods.sharesKernel(pod))) throw error;
      await driver.create(netns, own, ifname);
    }
  }

  /** DEL must succeed for whatever is left, also for a namespace that is gone (CNI specification 1.0, DEL). */
  async #remove(netns: string): Promise<void> {
    try {
      await this.#parts.driver.removeAll(netns);
    } catch (error) {
      if (!isErrno(error, 'ENOENT') && !isErrno(error, 'EINVAL')) throw error;
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
// What the agent does around the real CNI plugin of a pod's RDMA network.
//   before  a target's namespace is locked before it has an interface
//   after   the pod gets its rxe device; a target's is held from birth
//   del     the device goes first
import { annotations } from '../../../crds/src/index.ts';
import { withFaults } from '../../../kube/src/index.ts';
import { isErrno } from '../errors.ts';
import type { FabricLock } from '../fabric-lock/lock.ts';
import type { Host } from '../host/host.ts';
import type { PodRequests, TargetOf } from '../pods/pod-requests.ts';
import { openableNetns } from '../runtime/containers.ts';
import type { CniRequest, PlainReply } from '../socket/protocol.ts';
import { deviceName, rnrTimer, type RdmaDriver } from './driver.ts';

export interface CniParts {
  host: Host;
  lock: FabricLock;
  driver: RdmaDriver;
  pods: PodRequests;
  /** A target's pod has been seen. */
  preparing(target: TargetOf): Promise<void>;
}

export class CniHandler {
  readonly #parts: CniParts;

  constructor(parts: CniParts) {
    this.#parts = parts;
  }

  /** Idempotent. @throws AgentError NetnsModeShared, DriverMissing, PodNotFound, ... */
  async handle(request: CniRequest): Promise<PlainReply> {
    const netns = openableNetns(this.#parts.host, request.netns);
    if (request.phase === 'del') await withFaults('cni.del', () => this.#remove(netns));
    else if (request.phase === 'before')
      await withFaults('cni.before', () => this.#before(request, netns));
    else await withFaults('cni.after', () => this.#after(request, netns));
    return { ok: true };
  }

  async #before(request: CniRequest, netns: string): Promise<void> {
    const pod = await this.#parts.pods.pod(request);
    const target = await this.#parts.pods.targetOf(pod);
    if (!target || isOver(target)) return;
    await this.#parts.preparing(target);
    await this.#parts.lock.lock(netns, 'total');
  }

  async #after(request: CniRequest, netns: string): Promise<void> {
    const { driver, pods } = this.#parts;
    await driver.checkMode();
    const pod = await pods.pod(request);
    const wanted = pod.metadata.annotations;
    const name = deviceName(pod.metadata.uid, wanted[annotations.rdmaDevice]);
    await driver.create(netns, name, request.ifname);
    const target = await pods.targetOf(pod);
    if (target && !isOver(target)) await driver.hold(netns, rnrTimer(wanted[annotations.rnrTimer]));
  }

  /** Deleting must succeed for whatever is left, also for a namespace that is gone. */
  async #remove(netns: string): Promise<void> {
    try {
      await this.#parts.driver.removeAll(netns);
    } catch (error) {
      if (!isErrno(error, 'ENOENT') && !isErrno(error, 'EINVAL')) throw error;
    }
  }
}

/** A pod whose move has been committed is a pod like any other, also when its sandbox is made anew. */
function isOver(target: TargetOf): boolean {
  return target.request.status?.decision?.outcome === 'Committed';
}

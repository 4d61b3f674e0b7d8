// SPDX-License-Identifier: Apache-2.0
// The handler of the CNI delegate's calls around the plugins of the cluster's own network, of a pod that keeps its address
// (docs/adr/0023). Any user may name that network in a pod's annotation, so who gets which address is decided here.
//   before  ADD: locks a target's namespace before it has an interface, and names the plugins
//   after   ADD: gives the interface the pod's addresses
import { withFaults, type Pod } from '../../../kube/src/index.ts';
import type { NetworkLock } from '../node/lock/network-lock.ts';
import type { Host } from '../node/host/host.ts';
import type { PodIp } from '../node/pod-ip/pod-ip.ts';
import { openableNetns } from '../node/runtime/containers.ts';
import { isCommitted } from '../support/committed.ts';
import { AgentError } from '../support/errors.ts';
import { keptBy } from '../support/kept-by.ts';
import type { Journal } from '../support/journal/journal.ts';
import type {
  CniRequest,
  PlainReply,
  PodAddressReply,
  PodNetworkReply,
} from '../support/socket-protocol.ts';
import { refuseMovedAway } from './moved-away.ts';
import { hasResumed, type RequestLookup, type TargetRequest } from './request-lookup.ts';

type PodNetwork = Pick<PodIp, 'network' | 'place' | 'placedAddresses'>;

export interface PodNetworkParts {
  host: Host;
  journal: Journal;
  lock: Pick<NetworkLock, 'lock'>;
  podIp: PodNetwork | undefined;
  pods: Pick<RequestLookup, 'getPod' | 'targetRequest'>;
  /** Called once a target's sandbox is being made. */
  recordPreparing(target: TargetRequest): Promise<void>;
}

export class PodNetworkHandler {
  readonly #parts: PodNetworkParts;

  constructor(parts: PodNetworkParts) {
    this.#parts = parts;
  }

  /** May be repeated. @throws AgentError MovedAway, PodNetworkUnsupported, PodNotFound, BadRequest, LockFailed; ConnectionError; NativeError */
  async handle(request: CniRequest): Promise<PlainReply | PodNetworkReply | PodAddressReply> {
    switch (request.phase) {
      case 'before':
        return withFaults('cni.before', () => this.#before(request));
      case 'after':
        return withFaults('cni.after', () => this.#after(request));
      case 'del':
        return { ok: true };
    }
  }

  async #before(request: CniRequest): Promise<PodNetworkReply> {
    const { journal, lock, pods } = this.#parts;
    const pod = await pods.getPod(request);
    // A second sandbox of a pod that has moved would have the address that the target has now.
    refuseMovedAway(journal, pod.metadata.uid);
    const { network } = await this.#podIp().network();
    const target = await pods.targetRequest(pod);
    if (target && !hasResumed(journal, target)) {
      await this.#parts.recordPreparing(target);
      await lock.lock(openableNetns(this.#parts.host, request.netns), 'total');
    }
    const { cniVersion, name, plugins } = network;
    return { ok: true, cniVersion, name, plugins };
  }

  async #after(request: CniRequest): Promise<PodAddressReply> {
    const { pods, host } = this.#parts;
    const pod = await pods.getPod(request);
    const addresses = await this.#addressesOf(pod, await pods.targetRequest(pod));
    if (addresses.length === 0) return { ok: true };
    const netns = openableNetns(host, request.netns);
    const { ifname, result } = request;
    const placed = await withFaults('cni.address', () =>
      this.#podIp().place({ podUid: pod.metadata.uid, netns, ifname, result, addresses }),
    );
    return { ok: true, result: placed };
  }

  /**
   * What the operator has written into the request that made the pod. Once that request is gone, what this node has given to
   * the pod's former sandbox, or what the kubelet has reported of it: a user cannot write any of these. After a boot the kubelet
   * reports no address until there is a sandbox again.
   */
  async #addressesOf(pod: Pod, target: TargetRequest | undefined): Promise<readonly string[]> {
    if (target) return (target.request.status?.target?.podIPs ?? []).map(({ ip }) => ip);
    if (!isCommitted(pod)) return [];
    return (await this.#podIp().placedAddresses(pod.metadata.uid)) ?? keptBy(pod);
  }

  #podIp(): PodNetwork {
    const { podIp } = this.#parts;
    if (podIp) return podIp;
    throw new AgentError('PodNetworkUnsupported', 'This agent keeps no addresses of pods.');
  }
}

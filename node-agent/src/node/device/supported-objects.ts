// SPDX-License-Identifier: Apache-2.0
// Which objects of an RDMA device can be moved, and whose they must be. The driver lists every object of the device
// (native/rxe, method LIST); a hold stops all of them, so each must be in a context that the dump finds: one that
// processes of one container have open.
import type { RxeContext, RxeObject } from '../../../../native/addon/index.ts';
import { unreadEventReason } from './unread-events.ts';

/** A process of the pod that has a context of the device open. */
export interface OpenContext extends RxeContext {
  pid: number;
  /** Name of its container. */
  container: string;
}

/** What is known of a device and the pod that has it. */
export interface DeviceUse {
  /** Name of the RDMA device. */
  device: string;
  objects: readonly RxeObject[];
  opened: readonly OpenContext[];
}

/** Says which process a PID is, for messages: `Process 41 (python3)`. */
export type NameProcess = (pid: number) => string;

/** Queue pairs that every device comes with. No process can make one. */
const kernelTypes: ReadonlySet<string | undefined> = new Set(['GSI', 'SMI']);

/** Queue pairs that the driver restores. */
const movableTypes: ReadonlySet<string | undefined> = new Set(['RC', 'UD']);

const kindNames: Record<RxeObject['kind'], string> = {
  context: 'a verbs context',
  pd: 'a protection domain',
  ah: 'an address handle',
  srq: 'a shared receive queue',
  qp: 'queue pair',
  cq: 'a completion queue',
  mr: 'memory region',
  mw: 'a memory window',
  other: 'an object of an unknown kind',
};

const unsupported: Partial<Record<RxeObject['kind'], string>> = {
  mw: 'ibv_dealloc_mw()',
  other: 'the call that belongs to it',
};

/**
 * Pure.
 * @returns what cannot be moved, whose it is, and what to do; undefined if everything can be
 */
export function unmovableObject(use: DeviceUse, nameOf: NameProcess): string | undefined {
  for (const object of use.objects) {
    const reason = object.kind === 'context' ? contextReason(use, object, nameOf) : undefined;
    if (reason !== undefined) return reason;
  }
  for (const object of use.objects) {
    const reason = object.kind === 'context' ? undefined : objectReason(use, object, nameOf);
    if (reason !== undefined) return reason;
  }
  for (const { unreadEvents, pid } of use.opened) {
    const reason = unreadEventReason(unreadEvents);
    if (reason !== undefined) return `${nameOf(pid)} has not read ${reason}`;
  }
  return undefined;
}

/** A context that no process of the pod has open would be held with the device, but never dumped. */
function contextReason(
  { device, objects, opened }: DeviceUse,
  { number, owner }: RxeObject,
  nameOf: NameProcess,
): string | undefined {
  const here = opened.filter(({ context }) => context === number);
  const containers = [...new Set(here.map(({ container }) => container))];
  if (containers.length === 1) return undefined;
  const used = objects.find((one) => one.kind === 'qp' && one.context === number);
  const what = `verbs context ${number}${used ? ` (queue pair ${used.number})` : ''} of ${device}`;
  if (containers.length > 1) {
    return (
      `Containers ${containers.join(' and ')} have ${what} open, and each is dumped by itself. Let each container open ` +
      'the device for itself.'
    );
  }
  if (owner === undefined) {
    return (
      `The process that opened ${what} has ended, and no process of the pod's containers has the context open. End the ` +
      'process that still uses it, then create a new request.'
    );
  }
  return (
    `${nameOf(owner)} has opened ${what}, which no process of the pod's containers has open. End that process, or let it ` +
    'close the context and unmap its queues, then create a new request.'
  );
}

function objectReason(
  { device, opened }: DeviceUse,
  object: RxeObject,
  nameOf: NameProcess,
): string | undefined {
  const { kind, context } = object;
  if (context === undefined) return kernelReason(device, object);
  const here = opened.filter((one) => one.context === context);
  const [first] = here;
  // A context that came after the list of contexts.
  if (!first) return undefined;
  const owner = nameOf(object.owner ?? first.pid);
  const handle = `(handle ${object.handle ?? '?'})`;
  const destroy = unsupported[kind];
  if (destroy !== undefined) {
    return `${owner} has ${kindNames[kind]} ${handle} on ${device}, which cannot be moved. Destroy it (${destroy}), then create a new request.`;
  }
  if (object.sourceAddressLost === true) return sourceReason(device, object, owner);
  if (kind === 'qp') return queuePairReason(device, object, owner);
  if (kind !== 'mr') return undefined;
  const region = `memory region 0x${object.number.toString(16)} ${handle} on ${device}`;
  if (object.isUserMemory === false) {
    return `${owner} has ${region} over something else than its memory, which cannot be moved. Deregister it, then create a new request.`;
  }
  if (object.owner === undefined) {
    return (
      `The process whose memory is registered as ${region} has ended. Let ${lower(nameOf(first.pid))}, which has its ` +
      'verbs context open, deregister it, then create a new request.'
    );
  }
  if (here.some(({ pid }) => pid === object.owner)) return undefined;
  return (
    `${owner} has its memory registered as ${region}, but does not have the region's verbs context open here. Let the process ` +
    'that registers memory keep the context open, or deregister the region, then create a new request.'
  );
}

/** The target has the addresses that the source has now: it could not restore the path. */
function sourceReason(device: string, { kind, number, handle }: RxeObject, owner: string): string {
  const what = kind === 'qp' ? `queue pair ${number}` : kindNames[kind];
  return (
    `${owner} has ${what} (handle ${handle ?? '?'}) on ${device} whose source address has left the interface, which cannot be ` +
    `moved. Destroy it (${kind === 'qp' ? 'ibv_destroy_qp()' : 'ibv_destroy_ah()'}), then create a new request.`
  );
}

/** A group's members are known to the network's switches and to the interface, which a restore does not tell. */
function queuePairReason(
  device: string,
  { number, handle, type, multicastGroups }: RxeObject,
  owner: string,
): string | undefined {
  const queuePair = `queue pair ${number} (handle ${handle ?? '?'})`;
  if (!movableTypes.has(type)) {
    return (
      `${owner} has ${queuePair} of type ${type ?? '?'} on ${device}. Only RC and UD queue pairs can be moved: destroy ` +
      'it, then create a new request.'
    );
  }
  if (multicastGroups === undefined) return undefined;
  return (
    `${owner} has ${queuePair} on ${device} in a multicast group, which cannot be moved. Detach it from the group ` +
    '(ibv_detach_mcast()), then create a new request.'
  );
}

/** Modules of the kernel make queue pairs on any device that they see. A move would break those connections. */
function kernelReason(device: string, { kind, number, type }: RxeObject): string | undefined {
  if (kind !== 'qp' || kernelTypes.has(type)) return undefined;
  return (
    `The node's kernel has queue pair ${number} of type ${type ?? '?'} on ${device} (NVMe over Fabrics, NFS over RDMA, SMC-R or ` +
    'the like), which cannot be moved. End that connection, then create a new request.'
  );
}

const lower = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

// SPDX-License-Identifier: Apache-2.0
// Which objects of an RDMA device can be moved, and whose they must be. The driver lists every object of the device
// (native/rxe, method LIST); a hold stops all of them, so each must be in a context that the dump finds: one that
// processes of one container have open.
import type { RxeEventFile, RxeMemory, RxeObject } from '../../../../native/addon/index.ts';
import { firstGap, type Mapping } from '../runtime/memory-map.ts';
import { limitReasons } from './dump-limits.ts';
import { mappedQueueReasons } from './mapped-queues.ts';
import {
  locate,
  refusal,
  type Located,
  type NameProcess,
  type OpenContext,
} from './object-names.ts';
import { unreadEventReasons } from './unread-events.ts';
import {
  freedMemory,
  multicastMember,
  remappedMemory,
  unsupportedObjects,
  unsupportedQueuePair,
  unsupportedRegion,
  type UnsupportedKind,
} from './unsupported-kinds.ts';

export type { OpenContext } from './object-names.ts';

/** What is known of a device and the pod that has it. */
export interface DeviceUse {
  /** Name of the RDMA device. */
  device: string;
  objects: readonly RxeObject[];
  opened: readonly OpenContext[];
  /** What its processes and owners of regions have mapped, by their PIDs; nothing of those that have ended. */
  maps?: ReadonlyMap<number, readonly Mapping[]>;
  /** Names of the containers of its processes. */
  containers?: ReadonlyMap<number, string>;
  eventFiles?: readonly RxeEventFile[];
}

/** Queue pairs that every device comes with. No process can make one. */
const kernelTypes: ReadonlySet<string | undefined> = new Set(['GSI', 'SMI']);

/** Queue pairs that the driver restores. */
const movableTypes: ReadonlySet<string | undefined> = new Set(['RC', 'UD']);

/** The first of `unmovableObjects`; undefined if everything can be moved. Pure. */
export function unmovableObject(use: DeviceUse, nameOf: NameProcess): string | undefined {
  const [first] = unmovableObjects(use, nameOf);
  return first;
}

/** Pure. @returns of each object that cannot be moved: what it is, whose it is, and what to do */
export function* unmovableObjects(use: DeviceUse, nameOf: NameProcess): Generator<string> {
  for (const object of use.objects) {
    const reason = object.kind === 'context' ? contextReason(use, object, nameOf) : undefined;
    if (reason !== undefined) yield reason;
  }
  for (const object of use.objects) {
    const reason = object.kind === 'context' ? undefined : objectReason(use, object, nameOf);
    if (reason !== undefined) yield reason;
  }
  yield* unreadEventReasons(use, nameOf);
  yield* limitReasons(use, nameOf);
  yield* mappedQueueReasons(use, nameOf);
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
  { device, opened, maps }: DeviceUse,
  object: RxeObject,
  nameOf: NameProcess,
): string | undefined {
  const { kind, context } = object;
  if (context === undefined) return kernelReason(device, object);
  const located = locate(object, { device, opened }, nameOf);
  // A context that came after the list of contexts.
  if (!located) return undefined;
  const { owner, where } = located;
  if (kind === 'mw' || kind === 'other') {
    const { what, advice } = unsupportedObjects[kind];
    return refusal(`${owner} has ${what} ${where}`, advice);
  }
  if (object.sourceAddressLost === true) return sourceReason(where, object, owner);
  if (kind === 'qp') return queuePairReason(where, object, owner);
  if (kind !== 'mr') return undefined;
  return regionReason(object, { ...located, maps, nameOf });
}

/** @param seen `opened`: by the processes only that have the region's context open */
function regionReason(
  { number, owner: pid, isUserMemory, memory }: RxeObject,
  seen: Located & { maps: DeviceUse['maps'] | undefined; nameOf: NameProcess },
): string | undefined {
  const { opened, maps, nameOf, where } = seen;
  const opener = nameOf(opened[0]?.pid ?? 0);
  const region = `memory region 0x${number.toString(16)} ${where}`;
  if (isUserMemory === false) {
    const { what, advice } = unsupportedRegion;
    return refusal(`${pid === undefined ? opener : nameOf(pid)} has ${region} ${what}`, advice);
  }
  if (pid === undefined) {
    return (
      `The process whose memory is registered as ${region} has ended. Let ${lower(opener)}, which has its ` +
      'verbs context open, deregister it, then create a new request.'
    );
  }
  if (!opened.some((one) => one.pid === pid)) {
    return (
      `${nameOf(pid)} has its memory registered as ${region}, but does not have the region's verbs context open here. Let the process ` +
      'that registers memory keep the context open, or deregister the region, then create a new request.'
    );
  }
  const lost = memory && lostMemory(memory, maps?.get(pid));
  if (!lost) return undefined;
  const { what, advice } = lost.kind;
  return refusal(`${nameOf(pid)} has ${region} ${what} (at 0x${lost.at.toString(16)})`, advice);
}

/** Where its owner could not register it again, or would register something else. */
function lostMemory(
  memory: RxeMemory,
  map: readonly Mapping[] | undefined,
): { at: number; kind: UnsupportedKind } | undefined {
  const gap = map && firstGap(map, memory);
  if (gap !== undefined) return { at: gap, kind: freedMemory };
  if (memory.remappedAt === undefined) return undefined;
  return { at: memory.remappedAt, kind: remappedMemory };
}

/** The target has the addresses that the source has now: it could not restore the path. */
function sourceReason(where: string, { kind, number }: RxeObject, owner: string): string {
  const [what, destroy] =
    kind === 'qp'
      ? [`queue pair ${number}`, 'ibv_destroy_qp()']
      : ['an address handle', 'ibv_destroy_ah()'];
  return refusal(
    `${owner} has ${what} ${where} whose source address has left the interface`,
    `Destroy it (${destroy})`,
  );
}

function queuePairReason(
  where: string,
  { number, type, multicastGroups }: RxeObject,
  owner: string,
): string | undefined {
  const queuePair = `queue pair ${number} ${where}`;
  if (!movableTypes.has(type)) {
    const { what, advice } = unsupportedQueuePair(type);
    return refusal(`${owner} has ${queuePair} of type ${type ?? '?'}, ${what}`, advice);
  }
  if (multicastGroups === undefined) return undefined;
  return refusal(`${owner} has ${queuePair} in ${multicastMember.what}`, multicastMember.advice);
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

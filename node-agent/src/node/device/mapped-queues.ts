// SPDX-License-Identifier: Apache-2.0
// The queues that processes have mapped. A dump wants to find each of them whole, once, and of a context that it dumps
// (native/criu-plugin/dump_mapping.c).
import type { RxeObject } from '../../../../native/addon/index.ts';
import type { Mapping } from '../runtime/memory-map.ts';
import { locate, refusal, what, type NameProcess, type OpenContext } from './object-names.ts';

interface Use {
  device: string;
  objects: readonly RxeObject[];
  opened: readonly OpenContext[];
  /** What each process has mapped, with queues of this device only. */
  maps?: ReadonlyMap<number, readonly Mapping[]>;
  /** Names of the containers of the processes. */
  containers?: ReadonlyMap<number, string>;
}

interface Ring {
  object: RxeObject;
  offset: number;
  size: number;
}

/** Pure. @returns of each mapping that a dump would not take: whose it is, and what to do */
export function* mappedQueueReasons(use: Use, nameOf: NameProcess): Generator<string> {
  const known = new Map<string, Ring[]>();
  for (const [pid, map] of use.maps ?? []) {
    const container = use.containers?.get(pid);
    // Of a process outside of the pod's containers, nothing is dumped.
    if (container === undefined) continue;
    const queues = map.filter(({ queue }) => queue !== undefined);
    if (queues.length === 0) continue;
    const rings = known.get(container) ?? ringsOf(use, container);
    known.set(container, rings);
    yield* processReasons(use, { pid, queues, rings }, nameOf);
  }
}

/** In order of their offsets. */
function ringsOf({ objects, opened }: Use, container: string): Ring[] {
  const contexts = new Set<number | undefined>();
  for (const one of opened) if (one.container === container) contexts.add(one.context);
  return objects
    .filter(({ context }) => context !== undefined && contexts.has(context))
    .flatMap((object) => (object.rings ?? []).map((ring) => ({ ...ring, object })))
    .sort((a, b) => a.offset - b.offset);
}

/** At most one reason for each queue. */
function* processReasons(
  use: Use,
  { pid, queues, rings }: { pid: number; queues: readonly Mapping[]; rings: readonly Ring[] },
  nameOf: NameProcess,
): Generator<string> {
  const seen = new Map<Ring, number>();
  const named = new Set<Ring>();
  for (const { start, end, queue } of queues) {
    if (!queue) continue;
    const at = `at 0x${start.toString(16)}`;
    const ring = ringAt(rings, queue.offset);
    if (!ring) {
      yield refusal(
        `${nameOf(pid)} has mapped a queue of ${use.device} (${at}) that is destroyed, or whose verbs context no process ` +
          'of its container has open',
        'Let it unmap the queue, or keep the context open',
      );
      continue;
    }
    const before = seen.get(ring);
    seen.set(ring, start);
    if (named.has(ring)) continue;
    const isWhole = ring.offset === queue.offset && ring.size === end - start;
    const reason = wrong(isWhole, before, queue.isExecutable, at);
    if (reason === undefined) continue;
    named.add(ring);
    const where = locate(ring.object, use, nameOf)?.where ?? `on ${use.device}`;
    yield refusal(
      `${nameOf(pid)} has mapped a queue of ${what(ring.object)} ${where} ${reason}`,
      'Destroy the object and create it anew, or let it have the whole queue mapped, once, to read and write',
    );
  }
}

function wrong(
  isWhole: boolean,
  before: number | undefined,
  isExecutable: boolean,
  at: string,
): string | undefined {
  if (!isWhole) return `in part only (${at})`;
  if (before !== undefined) return `twice (at 0x${before.toString(16)} and ${at})`;
  return isExecutable ? `as executable memory (${at})` : undefined;
}

/** The ring that `offset` lies in. */
function ringAt(rings: readonly Ring[], offset: number): Ring | undefined {
  let [low, high] = [0, rings.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const ring = rings[middle];
    if (ring && ring.offset + ring.size <= offset) low = middle + 1;
    else high = middle;
  }
  const ring = rings[low];
  return ring && ring.offset <= offset ? ring : undefined;
}

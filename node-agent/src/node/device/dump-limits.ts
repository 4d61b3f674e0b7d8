// SPDX-License-Identifier: Apache-2.0
// How much of an RDMA device a dump takes: native/criu-plugin refuses more, in the pause (dump.c, dump_limits.c,
// driver_rxe_dump.c, image_check.c), and so does the driver (DUMP_CQ). The same numbers, before a hold.
import type { RxeObject } from '../../../../native/addon/index.ts';
import { locate, refusal, what, type NameProcess, type OpenContext } from './object-names.ts';

/** IMAGE_MAX_CONTEXTS: of one container. */
const MAX_CONTEXTS = 256;
/** IMAGE_MAX_HANDLE: of one container, in all contexts together. */
const MAX_HANDLES = 2 ** 20;
/** Of one context (image_check.c). */
const MAX_CHANNELS = 4096;
/** RXE_MAX_RING_BYTES; a mapping is as long, rounded up to pages. */
const MAX_RING_BYTES = 64 * 2 ** 20;
/** IMAGE_MAX_BYTES: of the image of one context. Queues are packed, but what a program fills them with may not get shorter. */
const MAX_IMAGE_BYTES = 512 * 2 ** 20;
/** What an image has of an object beside its queues: far less of an idle one, 9 KiB of a queue pair with a full replay cache. */
const OBJECT_BYTES = 4 * 1024;
/** SEALIFT_RXE_MAX_EVENTS: of one completion queue. */
const MAX_COMPLETION_EVENTS = 1024;

/** Objects of a context that LIST has no kind for (enum uverbs_default_objects); rxe makes none of them. */
const otherKinds: Readonly<Record<number, string>> = {
  9: 'a flow steering rule',
  10: 'an XRC domain',
  11: 'a receive work queue table',
  12: 'a work queue',
  13: 'a flow action',
  14: 'device memory',
  15: 'a counter set',
};

interface Use {
  device: string;
  objects: readonly RxeObject[];
  opened: readonly OpenContext[];
}

// The numbers of a running process change from one look to the next, and the agent reports what is wrong in each of them
// (dump/device-objects.ts): so a reason has none of them.

/** Pure. @returns what is too many or too large for a dump, whose it is, and what to do */
export function* limitReasons(use: Use, nameOf: NameProcess): Generator<string> {
  for (const container of new Set(use.opened.map((one) => one.container))) {
    yield* containerReasons(use, container);
  }
  const bytes = imageBytes(use.objects);
  const seen = new Set<number>();
  for (const context of use.opened) {
    if (seen.has(context.context)) continue;
    seen.add(context.context);
    yield* contextReasons(use, context, nameOf);
    if ((bytes.get(context.context) ?? 0) <= MAX_IMAGE_BYTES) continue;
    yield refusal(
      `${nameOf(context.pid)} has queues of more than ${MAX_IMAGE_BYTES / 2 ** 20} MiB together in its verbs context ` +
        `(descriptor ${context.fd}) on ${use.device}`,
      'Create them with fewer requests, or spread them over several contexts (ibv_open_device())',
    );
  }
  for (const object of use.objects) yield* objectReasons(use, object, nameOf);
}

function* containerReasons({ device, objects, opened }: Use, container: string): Generator<string> {
  const contexts = new Map<number, number>();
  for (const one of opened) if (one.container === container) contexts.set(one.context, 0);
  if (contexts.size > MAX_CONTEXTS) {
    yield refusal(
      `Container ${container} has more than ${MAX_CONTEXTS} verbs contexts of ${device} open`,
      'Let its processes share contexts, or close some (ibv_close_device())',
    );
  }
  for (const { context, handle } of objects) {
    const places = context === undefined ? undefined : contexts.get(context);
    if (context === undefined || places === undefined) continue;
    contexts.set(context, Math.max(places, (handle ?? -1) + 1));
  }
  const places = [...contexts.values()].reduce((sum, one) => sum + one, 0);
  if (places <= MAX_HANDLES) return;
  yield refusal(
    `Container ${container} has objects on ${device} whose handles take more than ${MAX_HANDLES} places in all its verbs ` +
      'contexts together, each as many as its highest handle',
    'Destroy objects that are not needed, and open the device again',
  );
}

/** About what an image of each context takes at most. */
function imageBytes(objects: readonly RxeObject[]): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { context, rings } of objects) {
    if (context === undefined || !rings) continue;
    const own = rings.reduce((sum, { size }) => sum + size, OBJECT_BYTES);
    bytes.set(context, (bytes.get(context) ?? 0) + own);
  }
  return bytes;
}

function* contextReasons(
  { device }: Use,
  { pid, fd, channels, asyncFiles, others }: OpenContext,
  nameOf: NameProcess,
): Generator<string> {
  const context = `in its verbs context (descriptor ${fd}) on ${device}`;
  if (channels > MAX_CHANNELS) {
    yield refusal(
      `${nameOf(pid)} has more than ${MAX_CHANNELS} completion channels ${context}`,
      'Let queues share channels (ibv_create_cq()), or destroy some (ibv_destroy_comp_channel())',
    );
  }
  if (asyncFiles > 1) {
    yield refusal(
      `${nameOf(pid)} has several files of asynchronous events ${context}`,
      'Close all but one',
    );
  }
  for (const { type, handle } of others) {
    const kind = otherKinds[type] ?? `an object of kind ${type}, which Sealift does not know`;
    yield refusal(`${nameOf(pid)} has ${kind} (handle ${handle}) ${context}`, 'Destroy it');
  }
}

function* objectReasons(use: Use, object: RxeObject, nameOf: NameProcess): Generator<string> {
  const { rings = [], unreadCompletions = 0 } = object;
  const largest = Math.max(0, ...rings.map(({ size }) => size));
  if (largest <= MAX_RING_BYTES && unreadCompletions <= MAX_COMPLETION_EVENTS) return;
  const located = locate(object, use, nameOf);
  if (!located) return;
  const { owner, where } = located;
  if (largest > MAX_RING_BYTES) {
    yield refusal(
      `${owner} has ${what(object)} ${where} with room for ${Math.ceil(largest / 2 ** 20)} MiB of requests, more than ` +
        `${MAX_RING_BYTES / 2 ** 20} MiB`,
      smaller(object.kind),
    );
  }
  if (unreadCompletions > MAX_COMPLETION_EVENTS) {
    yield refusal(
      `${owner} has ${what(object)} ${where} with more than ${MAX_COMPLETION_EVENTS} unread completion events`,
      'Let it read them (ibv_get_cq_event())',
    );
  }
}

function smaller(kind: RxeObject['kind']): string {
  if (kind === 'srq') return 'Resize it (ibv_modify_srq())';
  if (kind === 'cq') return 'Resize it (ibv_resize_cq())';
  return 'Create it with fewer requests or scatter/gather elements (max_send_wr, max_recv_wr, max_send_sge)';
}

// SPDX-License-Identifier: Apache-2.0
// The descriptors that processes have of verbs contexts and of their events, and the events that nobody has read. The
// dump wants a context for each descriptor, and events that come back as they were (native/criu-plugin/dump.c,
// dump_events.c).
import type { RxeEventFile, RxeObject } from '../../../../native/addon/index.ts';
import { locate, refusal, what, type NameProcess, type OpenContext } from './object-names.ts';

/** A descriptor whose link says that it is a verbs context's, or a file of its events. */
export interface VerbsFile {
  pid: number;
  fd: number;
  link: string;
}

const UVERBS = '/dev/infiniband/uverbs';
export const EVENT_LINK = 'anon_inode:[infinibandevent]';

export const isVerbsLink = (link: string): boolean =>
  link === EVENT_LINK || link.startsWith(UVERBS);

interface Use {
  device: string;
  objects: readonly RxeObject[];
  opened: readonly OpenContext[];
  eventFiles?: readonly RxeEventFile[];
}

/**
 * Of all devices of a pod together. Pure.
 * @param files of its processes
 * @param opened the contexts of its devices that they have open
 * @param eventFiles those that are of one of these contexts
 * @returns of each descriptor that a dump could not tell the context of: whose it is, and what to do
 */
export function* unknownFiles(
  files: readonly VerbsFile[],
  { opened, eventFiles }: { opened: readonly OpenContext[]; eventFiles: readonly RxeEventFile[] },
  nameOf: NameProcess,
): Generator<string> {
  const id = ({ pid, fd }: { pid: number; fd: number }): string => `${pid}:${fd}`;
  const contexts = new Set(opened.map(id));
  const events = new Set(eventFiles.filter(({ kind }) => kind !== undefined).map(id));
  const uverbs = new Set<string>();
  for (const file of files) {
    const { pid, fd, link } = file;
    if (link !== EVENT_LINK) {
      uverbs.add(id(file));
      if (contexts.has(id(file))) continue;
      yield refusal(
        `${nameOf(pid)} has ${link} open (descriptor ${fd}) without a verbs context of one of the pod's RDMA devices`,
        'Let it close the descriptor, or open the device again (ibv_open_device())',
      );
    } else if (!events.has(id(file))) {
      yield refusal(
        `${nameOf(pid)} has a completion channel or a file of asynchronous events open (descriptor ${fd}) whose verbs ` +
          'context no process of its container has open',
        'Let it close the descriptor, or keep the context open',
      );
    }
  }
  for (const context of opened) {
    if (uverbs.has(id(context))) continue;
    yield refusal(
      `${nameOf(context.pid)} has opened its RDMA device (descriptor ${context.fd}) by another path than ${UVERBS}<number>`,
      `Let it open the device below /dev/infiniband, where the pod has it`,
    );
  }
}

/**
 * The driver raises each kind of event of an object once, and not in the order in which they were. So one is no matter,
 * and more are. Pure.
 * @returns of each context whose unread events would not all come back
 */
export function* unreadObjectEvents(use: Use, nameOf: NameProcess): Generator<string> {
  for (const file of use.eventFiles ?? []) {
    if (file.kind !== 'async') continue;
    const context = use.opened.find((one) => one.context === file.context);
    // A fork's child has the same file.
    const isFirst =
      use.eventFiles?.find((one) => one.kind === 'async' && one.context === file.context) === file;
    if (!context || !isFirst) continue;
    const raised = use.objects.filter(
      (one) => one.context === file.context && (one.unreadEvents ?? 0) !== 0,
    );
    const kinds = raised.reduce((sum, one) => sum + bits(one.unreadEvents ?? 0), 0);
    const unread = file.unread ?? 0;
    if (kinds < 2 && (kinds === 0 || unread === kinds + bits(context.unreadEvents))) continue;
    const [object] = raised;
    const located = object && locate(object, use, nameOf);
    const one = object && located ? `, one of ${what(object)} ${located.where}` : '';
    yield refusal(
      `${nameOf(file.pid)} has unread asynchronous events of a verbs context (descriptor ${file.fd})${one}, of ` +
        'which those of queues would not all come back, or not in their order',
      'Let it read them (ibv_get_async_event())',
    );
  }
}

function bits(mask: number): number {
  let count = 0;
  for (let left = mask >>> 0; left !== 0; left >>>= 1) count += left & 1;
  return count;
}

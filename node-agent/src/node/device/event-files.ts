// SPDX-License-Identifier: Apache-2.0
// The descriptors that processes have of verbs contexts and of their events. The dump wants a context for each of them
// (native/criu-plugin/dump.c).
import type { RxeEventFile } from '../../../../native/addon/index.ts';
import { refusal, type NameProcess, type OpenContext } from './object-names.ts';

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

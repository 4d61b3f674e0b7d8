// SPDX-License-Identifier: Apache-2.0
// Asynchronous events that nobody has read (ibv_get_async_event(3)). A move keeps them, whatever their kinds, number and
// order, because many programs never read any; native/criu-plugin/driver_rxe_events.c refuses the same as this file.
import type { RxeEventFile } from '../../../../native/addon/index.ts';
import { refusal, type NameProcess, type OpenContext } from './object-names.ts';

/** By enum ibv_event_type of libibverbs. No target makes the device whole again that the process has. */
const DEVICE_FATAL = 8;

/** SEALIFT_RXE_MAX_ASYNC_EVENTS: of one context. */
const MAX_UNREAD_EVENTS = 65_536;

interface Use {
  device: string;
  opened: readonly OpenContext[];
  eventFiles?: readonly RxeEventFile[];
}

/** Pure. @returns of each context whose unread events a move would not keep: whose it is, and what to do */
export function* unreadEventReasons(use: Use, nameOf: NameProcess): Generator<string> {
  for (const { unreadEvents, pid } of use.opened) {
    if (((unreadEvents >>> DEVICE_FATAL) & 1) === 0) continue;
    yield (
      `${nameOf(pid)} has not read IBV_EVENT_DEVICE_FATAL: its device has failed. Let it open the device again, then ` +
      'create a new request.'
    );
  }
  const seen = new Set<number>();
  for (const { kind, context, pid, fd, unread = 0 } of use.eventFiles ?? []) {
    if (kind !== 'async' || context === undefined || unread <= MAX_UNREAD_EVENTS) continue;
    // A fork's child has the same file.
    if (seen.has(context) || !use.opened.some((one) => one.context === context)) continue;
    seen.add(context);
    yield refusal(
      `${nameOf(pid)} has more than ${MAX_UNREAD_EVENTS} unread asynchronous events of a verbs context (descriptor ${fd}) ` +
        `on ${use.device}`,
      'Let it read them (ibv_get_async_event())',
    );
  }
}

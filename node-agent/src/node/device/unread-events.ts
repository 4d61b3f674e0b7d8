// SPDX-License-Identifier: Apache-2.0
// Unread asynchronous events of a device and its port (ibv_get_async_event(3)). The driver says which types a context
// has, and raises none of them again; native/criu-plugin/dump_events.c has the same table for the dump.

/** Bits by enum ibv_event_type of libibverbs. */
const PORT_ACTIVE = 9;
const PORT_ERR = 10;

/**
 * The target's agent raises IBV_EVENT_PORT_ACTIVE in every restored context, because the port is another one
 * (device/driver.ts, show()). That tells a reader of these two what it has to know: the port is active.
 */
const raisedAgain: ReadonlySet<number> = new Set([PORT_ACTIVE, PORT_ERR]);

const names: Record<number, string> = {
  8: 'IBV_EVENT_DEVICE_FATAL',
  11: 'IBV_EVENT_LID_CHANGE',
  12: 'IBV_EVENT_PKEY_CHANGE',
  13: 'IBV_EVENT_SM_CHANGE',
  17: 'IBV_EVENT_CLIENT_REREGISTER',
  18: 'IBV_EVENT_GID_CHANGE',
};
const DEVICE_FATAL = 8;

/**
 * Pure.
 * @param unread bit n for event type n
 * @returns the event that a move would lose, and what to do; undefined if it would lose none
 */
export function unreadEventReason(unread: number): string | undefined {
  for (let type = 0; type < 32; type++) {
    if (((unread >>> type) & 1) === 0 || raisedAgain.has(type)) continue;
    const name = names[type] ?? `event type ${type}`;
    return type === DEVICE_FATAL
      ? `${name}: its device has failed. Let it open the device again, then create a new request.`
      : `${name}, which would be lost. Let it read its asynchronous events (ibv_get_async_event()), then create a new request.`;
  }
  return undefined;
}

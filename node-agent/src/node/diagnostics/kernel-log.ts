// SPDX-License-Identifier: Apache-2.0
// The kernel's messages since a moment, read from /dev/kmsg: one record per read, none twice.
import { constants, openSync, closeSync, readSync } from 'node:fs';
import { isErrno } from '../../support/errors.ts';

/** A record is shorter than this (PRINTK_MESSAGE_MAX); the kernel refuses a shorter buffer. */
const RECORD_BYTES = 8192;
/** Reads of one device in a row; a ring of a few MiB has no more records. */
const MAX_RECORDS = 100_000;
/** Lines from before the moment. */
const EARLIER = 100;

/** One record, `priority,sequence,microseconds,flags;text`; undefined for what is none. Pure. */
export function parseRecord(text: string): { us: number; text: string } | undefined {
  const match = /^\d+,\d+,(\d+),[^;]*;([^\n]*)/.exec(text);
  return match?.[1] === undefined ? undefined : { us: Number(match[1]), text: match[2] ?? '' };
}

/**
 * Lines `<time> [<seconds since boot>] <text>`, the newest `limit` bytes of them.
 * @param since milliseconds since the epoch; some lines from before are kept too, because the clock of these
 * records may stand still while others do not (a paused virtual machine)
 */
export function kernelLog(since: number, limit: number, device = '/dev/kmsg'): string {
  const boot = Date.now() - Number(process.hrtime.bigint() / 1_000_000n);
  const descriptor = openSync(device, constants.O_RDONLY | constants.O_NONBLOCK);
  let earlier: string[] = [];
  const lines: string[] = [];
  let size = 0;
  try {
    const buffer = Buffer.alloc(RECORD_BYTES);
    for (let n = 0; n < MAX_RECORDS; n++) {
      const text = readRecord(descriptor, buffer);
      if (text === undefined) break;
      const record = parseRecord(text);
      if (!record) continue;
      const at = boot + record.us / 1000;
      const seconds = (record.us / 1e6).toFixed(6);
      const line = `${new Date(at).toISOString()} [${seconds}] ${record.text}\n`;
      if (at < since) {
        earlier = [...earlier, line].slice(-EARLIER);
        continue;
      }
      lines.push(line);
      size += line.length;
      while (size > limit && lines.length > 1) size -= lines.shift()?.length ?? 0;
    }
  } finally {
    closeSync(descriptor);
  }
  return [...earlier, ...lines].join('').slice(-limit);
}

/** Undefined at the end. */
function readRecord(descriptor: number, buffer: Buffer): string | undefined {
  for (;;) {
    try {
      const length = readSync(descriptor, buffer);
      return length === 0 ? undefined : buffer.toString('utf8', 0, length);
    } catch (error) {
      if (isErrno(error, 'EAGAIN')) return undefined;
      // Records that were overwritten while we read: the next ones are there.
      if (!isErrno(error, 'EPIPE')) throw error;
    }
  }
}

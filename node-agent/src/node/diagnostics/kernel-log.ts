// SPDX-License-Identifier: Apache-2.0
// The kernel's messages since a time, read from /dev/kmsg: one record per read (kernel documentation,
// ABI/testing/dev-kmsg). Diagnostics calls it.
import { constants, openSync, closeSync, readSync } from 'node:fs';
import { isErrno } from '../../support/errors.ts';

/** Longer than any record (PRINTK_MESSAGE_MAX). The kernel fails a read into a buffer that is too short. */
const RECORD_BYTES = 8192;
/** Bounds the reads: a ring buffer of a few MiB has fewer records. */
const MAX_RECORDS = 100_000;
/** Lines kept from before the time. */
const MAX_EARLIER = 100;

/** Parses a record, `priority,sequence,microseconds,flags;text`. Undefined if the text is not one. Pure. */
export function parseRecord(text: string): { us: number; text: string } | undefined {
  const match = /^\d+,\d+,(\d+),[^;]*;([^\n]*)/.exec(text);
  return match?.[1] === undefined ? undefined : { us: Number(match[1]), text: match[2] ?? '' };
}

/**
 * Lines `<time> [<seconds since boot>] <text>`, oldest first.
 * @param since milliseconds since the epoch. Up to 100 earlier lines are kept too, because the clock of the records may
 * stand still while others do not (a paused virtual machine).
 * @param limit the newest bytes are kept
 * @throws the error of open(2), for instance EACCES
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
        earlier = [...earlier, line].slice(-MAX_EARLIER);
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

/** The next record's text; undefined at the end. */
function readRecord(descriptor: number, buffer: Buffer): string | undefined {
  for (;;) {
    try {
      const length = readSync(descriptor, buffer);
      return length === 0 ? undefined : buffer.toString('utf8', 0, length);
    } catch (error) {
      if (isErrno(error, 'EAGAIN')) return undefined;
      // The kernel has overwritten the next records. The read after this one gets the oldest that is left.
      if (!isErrno(error, 'EPIPE')) throw error;
    }
  }
}

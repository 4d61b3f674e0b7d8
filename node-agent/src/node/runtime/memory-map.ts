// SPDX-License-Identifier: Apache-2.0
// What a process has mapped (proc_pid_maps(5)).
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import { PROC, unlessEnded } from './process.ts';

/** One mapping. Addresses above 2^53 lose digits; only the vsyscall page lies there. */
export interface Mapping {
  start: number;
  end: number;
  isReadable: boolean;
  isWritable: boolean;
  /** Of a queue of an RDMA device: where the mapping begins in the device's file. */
  queue?: { offset: number; isExecutable: boolean } | undefined;
}

/** A range of addresses that is registered with a device. */
export interface Registered {
  start: number;
  length: number;
  /** The device may write to it. */
  isWritable: boolean;
}

/** Address, protection, offset, device, inode, and the path if it is one that a dump takes for a queue (native/criu-plugin). */
const MAPPING =
  /^([0-9a-f]+)-([0-9a-f]+) (r|-)(w|-)(x|-)\S* ([0-9a-f]+) \S+ \d+(?: +(\/dev\/infiniband\/uverbs))?/gm;

/** In order of their addresses. @returns undefined if the process has ended, or is one of the kernel */
export async function readMemoryMap(pid: number, proc = PROC): Promise<Mapping[] | undefined> {
  const text = await unlessErrno(
    unlessEnded(readFile(join(proc, String(pid), 'maps'), 'utf8')),
    'EACCES',
  );
  if (!text) return undefined;
  return [...text.matchAll(MAPPING)].map(
    ([, start = '', end = '', read, write, execute, offset = '', device]) => ({
      start: parseInt(start, 16),
      end: parseInt(end, 16),
      isReadable: read === 'r',
      isWritable: write === 'w',
      ...(device !== undefined && {
        queue: { offset: parseInt(offset, 16), isExecutable: execute === 'x' },
      }),
    }),
  );
}

/**
 * The first address of `registered` that the kernel would not register again: nothing is mapped there any more, or it is
 * protected. Pure.
 * @param map in order
 * @returns undefined if there is none
 */
export function firstGap(map: readonly Mapping[], registered: Registered): number | undefined {
  const end = registered.start + registered.length;
  let at = registered.start;
  for (let nth = firstBehind(map, at); at < end; nth++) {
    const mapping = map[nth];
    if (!mapping || mapping.start > at || !mapping.isReadable) return at;
    if (registered.isWritable && !mapping.isWritable) return at;
    at = mapping.end;
  }
  return undefined;
}

/** Index of the first mapping that ends behind `at`. */
function firstBehind(map: readonly Mapping[], at: number): number {
  let [low, high] = [0, map.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((map[middle]?.end ?? Infinity) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

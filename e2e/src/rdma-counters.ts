// SPDX-License-Identifier: Apache-2.0
// What an RDMA device counts (drivers/infiniband/sw/rxe/rxe_hw_counters.c), and whether work goes on between two looks at it.

/** By the kernel's names; those of all ports of a pod's devices added up. */
export type Counters = ReadonlyMap<string, number>;

/** Prints `<file>:<value>` for each. A pod sees its own device alone. */
export const COUNTERS_LINE = 'grep -H . /sys/class/infiniband/*/ports/*/hw_counters/*';

/** A counter's file ends with its name. Other files of the directory (`lifespan`) are counted too, and not read. */
export function countersIn(text: string): Counters {
  const counters = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name, value] = /\/hw_counters\/(\w+):(\d+)\s*$/.exec(line) ?? [];
    if (name !== undefined) counters.set(name, (counters.get(name) ?? 0) + Number(value));
  }
  return counters;
}

/** Packets that tell of no progress: repeated ones, those out of sequence, and answers `not ready` in either direction. */
const standing = [
  ...['duplicate_request', 'out_of_seq_request', 'rcvd_seq_err'],
  ...['rcvd_rnr_err', 'send_rnr_err'],
];

/**
 * How many packets a device has received that it had not seen before. A connection that stands sends and receives, too:
 * its requester repeats itself.
 * @returns undefined where the counters are not there, or began anew: the device is another one
 */
export function progress(before: Counters, after: Counters): number | undefined {
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  const received = grown('rcvd_pkts');
  if (!before.has('rcvd_pkts') || !after.has('rcvd_pkts') || received < 0) return undefined;
  return received - standing.reduce((sum, name) => sum + grown(name), 0);
}

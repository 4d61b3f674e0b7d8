// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

/** A name of the node's present boot (proc_sys_kernel(5), random/boot_id). What is only in its memory ends with it. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

// SPDX-License-Identifier: Apache-2.0
// How many completion vectors rxe's devices have on this node: one for each processor that may ever be there
// (rxe_register_device(), num_possible_cpus()).
import { readFile } from 'node:fs/promises';
import { unlessErrno } from '../../support/errors.ts';

const POSSIBLE = '/sys/devices/system/cpu/possible';

/**
 * @param list of processors, `0-3,8` (cputopology.rst)
 * @returns how many; undefined: the text is no such list
 */
export function countProcessors(list: string): number | undefined {
  let count = 0;
  for (const part of list.trim().split(',')) {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === undefined || Number(last ?? first) < Number(first)) return undefined;
    count += Number(last ?? first) - Number(first) + 1;
  }
  return count;
}

/** As crds/src/completion-vectors.ts describes it; undefined: this kernel does not say it. It does not change. */
export async function completionVectors(): Promise<string | undefined> {
  const list = await unlessErrno(readFile(POSSIBLE, 'utf8'), 'ENOENT');
  return list === undefined ? undefined : countProcessors(list)?.toString();
}

// SPDX-License-Identifier: Apache-2.0
// What /proc shows of a process's verbs contexts: their descriptors, those of their events, and their queues in memory.
import { readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RdmaDevice } from '../../../../native/addon/index.ts';
import { unlessErrno } from '../../support/errors.ts';
import { isVerbsLink, type VerbsFile } from '../device/event-files.ts';
import type { Mapping } from '../runtime/memory-map.ts';
import { printable, unlessEnded } from '../runtime/process.ts';

/** Empty for a process that has ended. @param proc the directory /proc */
export async function verbsFilesOf(pid: number, proc: string): Promise<VerbsFile[]> {
  const directory = join(proc, String(pid), 'fd');
  const look = async (fd: string): Promise<VerbsFile[]> => {
    const link = await unlessEnded(readlink(join(directory, fd)));
    if (link === undefined || !isVerbsLink(link)) return [];
    return [{ pid, fd: Number(fd), link: printable(link) }];
  };
  // A process may have very many.
  return (await Promise.all(((await unlessEnded(readdir(directory))) ?? []).map(look))).flat();
}

/**
 * What processes have mapped, without queues of other devices: each device has its own offsets.
 * @param maps by PID
 */
export async function queuesOf(
  { uverbs }: Pick<RdmaDevice, 'uverbs'>,
  maps: ReadonlyMap<number, readonly Mapping[]>,
  proc: string,
): Promise<Map<number, Mapping[]>> {
  const found = new Map<number, Mapping[]>();
  for (const [pid, map] of maps) {
    const kept: Mapping[] = [];
    for (const mapping of map) {
      if (!mapping.queue || (await deviceOf(pid, mapping, proc)) === numberOf(uverbs)) {
        kept.push(mapping);
      } else {
        kept.push({ ...mapping, queue: undefined });
      }
    }
    found.set(pid, kept);
  }
  return found;
}

/** The path in the mapping may lead elsewhere here, or nowhere; this leads to the file itself. */
async function deviceOf(
  pid: number,
  { start, end }: Mapping,
  proc: string,
): Promise<number | undefined> {
  const name = `${start.toString(16)}-${end.toString(16)}`;
  const file = stat(join(proc, String(pid), 'map_files', name));
  return (await unlessErrno(unlessEnded(file), 'EACCES'))?.rdev;
}

/** As stat(2) has it: makedev(3) of the C library. */
function numberOf(device: RdmaDevice['uverbs']): number | undefined {
  if (!device) return undefined;
  const { major, minor } = device;
  return (minor & 0xff) + major * 256 + (minor & ~0xff) * 4096;
}

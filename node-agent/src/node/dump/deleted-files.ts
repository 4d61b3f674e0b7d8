// SPDX-License-Identifier: Apache-2.0
// Files without a name that a process has open or mapped. CRIU writes one that has no name left at all into the images (a
// "ghost file"), up to a limit, and refuses one whose name was removed while it has another (criu/files-reg.c).
import { stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import { printable, unlessEnded } from '../runtime/process.ts';

/** CRIU's `ghost-limit` of native/criu-plugin/criu.conf, which it compares with what the file takes on its disk. */
const MAX_DELETED_BYTES = 2 ** 30;
/** stat(2), st_blocks. */
const BLOCK = 512;
const DELETED = ' (deleted)';

/**
 * The kernel's own files of memory, which CRIU dumps as memory whatever their size: memfd_create(2), shmget(2), MAP_ANONYMOUS
 * with MAP_SHARED, and with MAP_HUGETLB.
 */
const MEMORY = /^\/(memfd:.*|SYSV[0-9a-f]{8}|dev\/zero|anon_hugepage) \(deleted\)$/s;

export const isMemoryFile = (link: string): boolean => MEMORY.test(link);
export const isDeleted = (link: string): boolean => link.endsWith(DELETED);

/** A file as /proc shows it. */
export interface LinkedFile {
  /** What /proc/PID/fd or /proc/PID/map_files links to. */
  link: string;
  file: Stats;
  /** The process's root directory, below /proc. */
  root: string;
  /** A process has it mapped, and need not have it open. */
  isMapped?: boolean;
}

/** Why it could not be dumped, and what to do; undefined if it can be, and for one that has its name. */
export async function reasonOfDeleted(of: LinkedFile): Promise<string | undefined> {
  const { link, file, root, isMapped = false } = of;
  if (!isDeleted(link) || isMemoryFile(link) || !file.isFile()) return undefined;
  const what = `has ${printable(link.slice(0, -DELETED.length))} ${isMapped ? 'mapped' : 'open'}`;
  const giveUp = isMapped ? 'Unmap it' : 'Close it';
  if (file.nlink > 0) {
    if (await isCalled(join(root, link), file)) return undefined;
    return (
      `${what}, a file whose name was removed while it has another one (a hard link), which cannot be moved. ` +
      `${giveUp}, or open it by the name that it still has.`
    );
  }
  const bytes = file.blocks * BLOCK;
  if (bytes <= MAX_DELETED_BYTES) return undefined;
  const advice = isMapped
    ? `${giveUp}, make it smaller, keep its name (no shm_unlink or unlink), or use memfd_create`
    : `${giveUp}, or make it smaller`;
  return `${what}, a deleted file of ${(bytes / 2 ** 30).toFixed(1)} GiB; up to 1 GiB can be moved. ${advice}.`;
}

/** A file that grows has another reason in each look, but for this. */
export const withoutSize = (reason: string): string => reason.replace(/ of \d+\.\d GiB;/, '');

/** A name may end like the kernel's remark. */
async function isCalled(path: string, { dev, ino }: Stats): Promise<boolean> {
  const found = await unlessErrno(unlessEnded(stat(path)), 'ENOTDIR', 'EACCES', 'ENAMETOOLONG');
  return found !== undefined && found.dev === dev && found.ino === ino;
}

// SPDX-License-Identifier: Apache-2.0
// The mounts that processes of a container see (proc_pid_mountinfo(5)). CRIU dumps a file of another mount namespace only if
// it is memory: it does not find the file's mount.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { printable, unlessEnded } from '../runtime/process.ts';

/** Types of file systems (`nfs4`, `mqueue`) by the numbers of the mounts. */
export type Mounts = ReadonlyMap<string, string>;

/** The mounts that these processes see; empty if all have ended. @param proc the directory /proc */
export async function mountsOf(pids: readonly number[], proc: string): Promise<Mounts> {
  const read = (pid: number): Promise<string | undefined> =>
    unlessEnded(readFile(join(proc, String(pid), 'mountinfo'), 'utf8'));
  // Most have the same.
  const texts = new Set(await Promise.all(pids.map(read)));
  const mounts = new Map<string, string>();
  for (const line of [...texts].flatMap((text) => (text ?? '').split('\n'))) {
    const [mount = '', superblock = ''] = line.split(' - ');
    const [id] = mount.split(' ', 1);
    if (id) mounts.set(id, superblock.split(' ', 1)[0] ?? '');
  }
  return mounts;
}

/** Type of the file system that an open file is on; undefined: its container does not have that mount. */
export const typeOf = (info: string, mounts: Mounts): string | undefined =>
  mounts.get(mountIn(info) ?? '');

/** From the text of a descriptor's fdinfo (proc_pid_fdinfo(5)). */
const mountIn = (info: string): string | undefined => /^mnt_id:\s*(\d+)$/m.exec(info)?.[1];

/** Its files have no write(2): no archive brings their content to another node (docs/adr/0043). */
const HUGE_PAGES = 'hugetlbfs';

const reasonOfHugePages = (link: string): string =>
  `has ${printable(link)} open or mapped, a file of huge pages (${HUGE_PAGES}), which cannot be moved. Let it take huge pages without a file: ` +
  'mmap with MAP_HUGETLB, or memfd_create with MFD_HUGETLB (DPDK, SPDK: --in-memory).';

/**
 * Why a file could not be dumped because of its mount, and what to do; undefined if it can be.
 * @param info text of a descriptor's fdinfo
 * @param mounts of the container; empty: nothing is known of them
 */
export function reasonOfMount(link: string, info: string, mounts: Mounts): string | undefined {
  const mount = mountIn(info);
  if (mount === undefined || mounts.size === 0) return undefined;
  if (mounts.get(mount) === HUGE_PAGES) return reasonOfHugePages(link);
  if (mounts.has(mount)) return undefined;
  return (
    `has ${printable(link)} open or mapped, of a mount that its container does not have: another container has passed it ` +
    '(SCM_RIGHTS), or it was unmounted since. It cannot be moved. Let the process open the file by itself, on a volume that both containers mount.'
  );
}

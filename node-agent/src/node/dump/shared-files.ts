// SPDX-License-Identifier: Apache-2.0
// Files of a pod that other nodes have mounted too: those of a file server. They do not travel; both nodes have them mounted
// during a move. unmovable.ts asks what of them cannot be restored, the checkpointer writes back what this node still keeps.
import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { printable, PROC, unlessEnded } from '../runtime/process.ts';

/** File systems of one node, by the kernel's names; any other may be mounted on several. */
const LOCAL = new Set([
  ...['overlay', 'tmpfs', 'ramfs', 'devtmpfs', 'hugetlbfs', 'proc', 'sysfs', 'cgroup', 'cgroup2'],
  ...['devpts', 'mqueue', 'bpf', 'debugfs', 'tracefs', 'securityfs', 'binfmt_misc', 'fusectl'],
  ...[
    'ext2',
    'ext3',
    'ext4',
    'xfs',
    'btrfs',
    'f2fs',
    'zfs',
    'vfat',
    'squashfs',
    'erofs',
    'iso9660',
  ],
  ...['fuse.lxcfs', 'nsfs', 'rpc_pipefs', 'configfs', 'pstore', 'efivarfs', 'autofs'],
]);

export interface SharedMount {
  /** Where it is in the container. */
  path: string;
  /** `nfs4`, `ceph`, ... */
  type: string;
  /** Options of its super block, as in mountinfo. */
  options: string;
}

/** By mount ID, from the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)). Pure. */
export function sharedMounts(mountinfo: string): Map<string, SharedMount> {
  const found = new Map<string, SharedMount>();
  for (const line of mountinfo.split('\n')) {
    const [mount = '', superblock = ''] = line.split(' - ');
    const [id, , , , path] = mount.split(' ');
    const [type, , options = ''] = superblock.split(' ');
    if (id === undefined || path === undefined || type === undefined) continue;
    if (type !== '' && !LOCAL.has(type)) found.set(id, { path, type, options });
  }
  return found;
}

/** Those of a process; none of one that has ended. */
export async function sharedMountsOf(pid: number, proc = PROC): Promise<Map<string, SharedMount>> {
  const text = await unlessEnded(readFile(join(proc, String(pid), 'mountinfo'), 'utf8'));
  return sharedMounts(text ?? '');
}

/** fcntl.h, O_ACCMODE: 0 read, 1 write, 2 both. */
const ACCESS_MODE = 3;

/** An open file. */
interface OpenFile {
  /** Its path below /proc/PID/fd. */
  at: string;
  /** What that links to. */
  link: string;
  /** Text of its fdinfo (proc_pid_fdinfo(5)). */
  info: string;
}

/**
 * Why an open file on such a mount could not be restored, and what to do; undefined if it can be, and for any other file.
 * Changes nothing.
 * @param may asks the file's server; replaced in tests
 */
export async function reasonOfSharedFile(
  { at, link, info }: OpenFile,
  mounts: ReadonlyMap<string, SharedMount>,
  may = access,
): Promise<string | undefined> {
  const mount = mounts.get(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? '');
  if (!mount) return undefined;
  const name = printable(link);
  if (/\/\.nfs[0-9a-f]{8,}$/i.test(link)) {
    return `has ${name} open, a file that was removed; its file server removes it for good when the old pod ends. Close it first.`;
  }
  const lock = lockOf(info).find((kind) => !isLocalLock(kind, mount.options));
  if (lock !== undefined) {
    return (
      `holds a lock (${lock}) on ${name}, which the file server keeps for this node until the old pod has ended, so that the ` +
      'target cannot take it. Release it for the move; if no other pod needs the lock, mount the volume with local_lock=all.'
    );
  }
  return (await mayOpen(at, info, may))
    ? undefined
    : `has ${name} open, which root cannot open: CRIU does that as root, and the file server refuses it. Export the volume with no_root_squash, or let everybody read and write the file.`;
}

/** Kinds of the locks that are held by this descriptor. */
const lockOf = (info: string): string[] =>
  [...info.matchAll(/^lock:\s*\d+:\s*(?:->\s*)?(\w+)/gm)].map(([, kind = '']) => kind);

/** nfs(5), local_lock: locks that the kernel keeps to itself are restored as on a disk. */
function isLocalLock(kind: string, options: string): boolean {
  const local = /(?:^|,)local_lock=(\w+)/.exec(options)?.[1];
  return local === 'all' || local === (kind === 'FLOCK' ? 'flock' : 'posix');
}

async function mayOpen(at: string, info: string, may: typeof access): Promise<boolean> {
  const flags = Number.parseInt(/^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? '0', 8);
  const asks = [constants.R_OK, constants.W_OK, constants.R_OK | constants.W_OK];
  try {
    await unlessEnded(may(at, asks[flags & ACCESS_MODE] ?? constants.F_OK));
    return true;
  } catch (error) {
    if (isErrno(error, 'EACCES') || isErrno(error, 'EPERM')) return false;
    throw error;
  }
}

/**
 * Writes back what this node's kernel keeps of files of a server: the target's finds them there. The tasks are frozen.
 * @param pids of the pod's containers
 * @throws AgentError RuntimeFailed, Aborted
 */
export async function flushSharedMounts(
  host: Host,
  pids: readonly number[],
  signal?: AbortSignal,
): Promise<void> {
  const seen = new Set<string>();
  for (const pid of pids) {
    const root = `${PROC}/${pid}/root`;
    for (const { path } of (await sharedMountsOf(pid)).values()) {
      const text = path.replace(/\\([0-7]{3})/g, (_all, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      );
      const at = join(root, text);
      if (seen.has(at)) continue;
      seen.add(at);
      await host.check('sync', ['--file-system', at], { signal });
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
// Files that a process has mapped. It need not have them open any more: shm_open, shm_unlink, mmap and close is how memory is
// shared. What CRIU 4.1.1 makes of them is in its criu/proc_parse.c, handle_vma().
import { open, readFile, readlink, readdir } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';
import { printable, unlessEnded } from '../runtime/process.ts';
import { isMemoryFile, reasonOfDeleted } from './deleted-files.ts';
import { reasonOfMount, type Mounts } from './mount-table.ts';
import { reasonOfKind } from './unmovable-kinds.ts';

/** fcntl.h. Opens nothing: a device is not asked. */
const O_PATH = 0o10000000;
/** proc_pid_maps(5), of a file: addresses, device, inode, path. */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) \S+ [0-9a-f]+ (\S+) ([1-9]\d*) +(.+)$/gm;
/** The ring of io_setup(2). */
const AIO = /^\/\[aio\] \(deleted\)$/;
/** A socket's rings (packet(7), PACKET_RX_RING). */
const SOCKET = /^socket:\[\d+\]$/;
/** Queues of RDMA devices, which the plugin dumps; ../device/mapped-queues.ts looks at them. */
const RDMA_QUEUE = /\/infiniband\/uverbs\d+( \(deleted\))?$/;
/** makedev(3) of /dev/zero. */
const ZERO = 0x105;

/** One file of the container's. */
export interface MappedFile {
  /** Device and inode: the same for each process that has it mapped. */
  id: string;
  path: string;
  /** Its first mapping, as /proc/PID/map_files names it. */
  at: string;
}

/** Each file that a process has mapped, once; empty for a process that has ended. @param proc the directory /proc */
export async function mappedFiles(pid: number, proc: string): Promise<MappedFile[]> {
  const file = join(proc, String(pid), 'maps');
  const text = (await unlessErrno(unlessEnded(readFile(file, 'utf8')), 'EACCES')) ?? '';
  const found = new Map<string, MappedFile>();
  for (const [, start = '', end = '', device = '', inode = '', path = ''] of text.matchAll(
    MAPPING,
  )) {
    const id = `${device} ${inode}`;
    // The file system's own number does not tell mounts apart.
    const key = `${id} ${path}`;
    if (!found.has(key)) found.set(key, { id, path, at: `${short(start)}-${short(end)}` });
  }
  return [...found.values()];
}

/** The kernel writes at least eight digits in one file, and none too many in the other. */
const short = (address: string): string => address.replace(/^0+(?=.)/, '');

export interface MappedParts {
  proc: string;
  /** Of the process's container. */
  mounts: Mounts;
  /** What is known of files that other processes of the container have mapped too. */
  known: Map<string, string | undefined>;
}

/** Why a process's mappings could not be dumped, and what to do; empty if they can be. */
export async function mappedReasons(pid: number, parts: MappedParts): Promise<string[]> {
  const reasons: string[] = [];
  for (const mapped of await mappedFiles(pid, parts.proc)) {
    const reason = await reasonOf(pid, mapped, parts);
    if (reason !== undefined) reasons.push(reason);
  }
  return reasons;
}

async function reasonOf(
  pid: number,
  mapped: MappedFile,
  parts: MappedParts,
): Promise<string | undefined> {
  const { id, path } = mapped;
  if (SOCKET.test(path)) return reasonOfSocket(pid, path, parts.proc);
  const kind = reasonOfKind(path);
  if (kind !== undefined || isMemoryFile(path) || AIO.test(path) || RDMA_QUEUE.test(path))
    return kind;
  const key = `${id} ${path}`;
  if (!parts.known.has(key)) parts.known.set(key, await reasonOfFile(pid, mapped, parts));
  return parts.known.get(key);
}

async function reasonOfFile(
  pid: number,
  { path, at }: MappedFile,
  { proc, mounts }: MappedParts,
): Promise<string | undefined> {
  const process = join(proc, String(pid));
  const opening = open(join(process, 'map_files', at), O_PATH);
  const opened = await unlessErrno(unlessEnded(opening), 'EPERM', 'EACCES');
  if (!opened) return undefined;
  try {
    const file = await opened.stat();
    if (!file.isFile()) return isZero(file) ? undefined : reasonOfOther(path);
    const info = await readFile(`/proc/self/fdinfo/${opened.fd}`, 'utf8');
    return (
      reasonOfMount(path, info, mounts) ??
      (await reasonOfDeleted({ link: path, file, root: join(process, 'root'), isMapped: true }))
    );
  } finally {
    await opened.close();
  }
}

const isZero = (file: Stats): boolean => file.isCharacterDevice() && file.rdev === ZERO;

const reasonOfOther = (path: string): string =>
  `has ${printable(path)} mapped, which is no file with a content of its own (a device?) and cannot be moved. Unmap it first.`;

/** CRIU restores the ring of a socket that is open. */
async function reasonOfSocket(
  pid: number,
  path: string,
  proc: string,
): Promise<string | undefined> {
  const directory = join(proc, String(pid), 'fd');
  for (const fd of (await unlessEnded(readdir(directory))) ?? [])
    if ((await unlessEnded(readlink(join(directory, fd)))) === path) return undefined;
  return 'has the ring of a packet socket mapped that it has closed, which cannot be moved. Unmap it first.';
}

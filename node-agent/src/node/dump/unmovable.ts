// SPDX-License-Identifier: Apache-2.0
// What the processes of a pod have open or mapped that CRIU 4.1.1 cannot dump, or would lose. The checkpointer looks before anything
// is done to the pod: CRIU would say it only in the pause, and seldom what to do.
import { readdir, readFile, readlink, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import {
  undumpableSockets,
  unshared as unsharedOf,
  type UndumpableSocket,
  type Unshared,
} from '../../../../native/addon/index.ts';
import { AgentError, unlessErrno } from '../../support/errors.ts';
import {
  unknownDevice,
  unsupportedDevice,
  type UnsupportedKind,
} from '../device/unsupported-kinds.ts';
import type { Host } from '../host/host.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import { printable, PROC, processIn, unlessEnded } from '../runtime/process.ts';
import { reasonOfChildCgroups } from './child-cgroups.ts';
import { narrowedCpus, reasonOfAffinity } from './cpu-sets.ts';
import { isDeleted, isMemoryFile, reasonOfDeleted, withoutSize } from './deleted-files.ts';
import { hasMode, reasonOfMode } from './file-modes.ts';
import { throwFirst } from './findings.ts';
import { foundInEach } from './looks.ts';
import { mappedReasons } from './mapped-files.ts';
import { mountsOf, reasonOfMount, typeOf, type Mounts } from './mount-table.ts';
import { ownTasks } from './own-tasks.ts';
import { processReasons } from './process-limits.ts';
import { reasonOfSharedFile, sharedMountsOf, type SharedMount } from './shared-files.ts';
import { reasonOfSocket } from './undumpable-sockets.ts';
import { reasonOfKind } from './unmovable-kinds.ts';
import { unsharedReasons } from './unshared.ts';

export interface UnmovableParts {
  /** The directory /proc. */
  proc?: string;
  sockets?: (pid: number) => Promise<UndumpableSocket[]>;
  /** Of a process's threads. */
  unshared?: (pid: number) => Promise<Unshared[]>;
  betweenMs?: number;
}

/** A program that a process starts runs by then, and a file that it passes on has arrived. */
const BETWEEN_MS = 100;

type Looked = Pick<Container, 'name' | 'cgroup' | 'pid'>;

/** What is known of a container while its processes are looked at. */
interface OfContainer {
  mounts: Mounts;
  /** Of files that processes have mapped. */
  known: Map<string, string | undefined>;
}

/** linux/magic.h, MQUEUE_MAGIC. */
const MQUEUE = 0x19800202;
/** exportfs's handles that no file system can open again: overlayfs's (include/linux/exportfs.h, OVL_FILEID_V1 is 0xf8). */
const OVERLAY_HANDLE = /^inotify .*\bino:([0-9a-f]+) .*\bfhandle-type:f8\b/gm;
/** Where CRIU looks for a file that it has only the inode number of (criu/irmap.c, hints). */
const HINTS = [
  ...['/etc', '/var/spool', '/var/log', '/usr/share/dbus-1/system-services'],
  ...['/var/lib/polkit-1/localauthority', '/usr/share/polkit-1/actions', '/lib/udev', '/'],
];
const MAX_HINTED = 20_000;

/** All that native/criu-plugin takes for RDMA's. */
const RDMA_DIRECTORY = '/dev/infiniband/';

const kindOf = (device: string, link: string): UnsupportedKind | undefined =>
  unsupportedDevice(device) ??
  (link.startsWith(RDMA_DIRECTORY) && !device.startsWith('uverbs') ? unknownDevice : undefined);

/** Nodes of the RDMA core's devices, wherever the container has them. */
const RDMA_DEVICE = /\/infiniband\/([^/]+)$/;

export class UnmovableFiles {
  readonly #host: Host;
  readonly #proc: string;
  readonly #sockets: (pid: number) => Promise<UndumpableSocket[]>;
  readonly #unshared: (pid: number) => Promise<Unshared[]>;
  readonly #betweenMs: number;

  constructor(
    host: Host,
    {
      proc = PROC,
      sockets = undumpableSockets,
      unshared = unsharedOf,
      betweenMs = BETWEEN_MS,
    }: UnmovableParts = {},
  ) {
    this.#host = host;
    this.#proc = proc;
    this.#sockets = sockets;
    this.#unshared = unshared;
    this.#betweenMs = betweenMs;
  }

  /** Changes nothing. @throws AgentError UnsupportedObject, which names the process, the file and what to do */
  check(containers: readonly Looked[]): Promise<void> {
    return throwFirst(this.findings(containers));
  }

  /**
   * All that `check` would refuse: of each container, then of its processes, of which it counts what is found in each look.
   * Changes nothing.
   */
  async *findings(containers: readonly Looked[]): AsyncGenerator<AgentError> {
    for (const container of containers) yield* this.#ofContainer(container);
    const found = await foundInEach(
      async () => [...(await this.#look(containers))],
      ([key]) => key,
      { betweenMs: this.#betweenMs },
    );
    for (const [, message] of found) yield new AgentError('UnsupportedObject', message);
  }

  async *#ofContainer(container: Looked): AsyncGenerator<AgentError> {
    if (container.cgroup === undefined) {
      yield new AgentError(
        'UnsupportedObject',
        `Container ${container.name} has no cgroup v2, without which it cannot be frozen. Boot the node with the ` +
          'unified cgroup hierarchy.',
      );
      return;
    }
    const made = await reasonOfChildCgroups(container.name, this.#host.path(container.cgroup));
    if (made !== undefined) yield new AgentError('UnsupportedObject', made);
    if (container.pid === undefined) return;
    const queues = await this.#queues(container, container.pid);
    if (queues) yield queues;
    yield* this.#replacedMounts(container, container.pid);
  }

  /** What is wrong with the processes now, by a key that the same thing has in another look. */
  async #look(containers: readonly Looked[]): Promise<Map<string, string>> {
    const messages = new Map<string, string>();
    const [proc, unshared] = [this.#proc, this.#unshared];
    for (const { name, cgroup, pid: first } of containers) {
      if (cgroup === undefined) continue;
      const directory = this.#host.path(cgroup);
      const all = await new Cgroup(directory).tasks();
      const narrowed = await narrowedCpus(directory);
      const tasks = await ownTasks(all, first, proc);
      const looked = { mounts: await mountsOf(tasks, proc), known: new Map() };
      const own = first !== undefined && tasks.includes(first) ? first : undefined;
      for (const pid of tasks) {
        const affinity = narrowed && (await reasonOfAffinity(pid, narrowed, proc));
        const reasons = [
          ...(affinity === undefined ? [] : [affinity]),
          ...(await unsharedReasons(pid, { proc, first: own, unshared })),
          ...((await unlessEnded(this.#reasonsOf(pid, looked))) ?? []),
        ];
        for (const reason of reasons) {
          const who = await processIn(name, pid, proc);
          messages.set(`${pid} ${withoutSize(reason)}`, `${who} ${reason}`);
        }
      }
    }
    return messages;
  }

  /** Messages in a POSIX queue would be lost without a word, also in one that nobody has open. */
  async #queues({ name }: Looked, pid: number): Promise<AgentError | undefined> {
    const directory = join(this.#proc, String(pid), 'root/dev/mqueue');
    const queues = await unlessAbsent(
      statfs(directory).then(({ type }) => (type === MQUEUE ? readdir(directory) : [])),
    );
    if (!queues?.length) return undefined;
    return new AgentError(
      'UnsupportedObject',
      `Container ${name} has POSIX message queues (${queues
        .slice(0, 5)
        .map((one) => printable(one))
        .join(', ')}), which cannot be moved. ` +
        'Remove them from /dev/mqueue, or use a socket instead.',
    );
  }

  /** Files that are mounted alone (subPath) and were replaced since: CRIU restores no mount of a removed file. */
  async *#replacedMounts({ name }: Looked, pid: number): AsyncGenerator<AgentError> {
    const file = join(this.#proc, String(pid), 'mountinfo');
    const text = (await unlessEnded(readFile(file, 'utf8'))) ?? '';
    for (const line of text.split('\n')) {
      const [, , , root = '', at = ''] = line.split(' ');
      if (!root.endsWith('//deleted')) continue;
      yield new AgentError(
        'UnsupportedObject',
        `Container ${name} has ${printable(at)} mounted, a file that was removed or replaced since (subPath of a volume that was updated), ` +
          'which cannot be moved. Mount the whole volume instead, or start the pod again.',
      );
    }
  }

  /** What process `pid` has, and what to do; empty for a process that can be dumped. */
  async #reasonsOf(pid: number, looked: OfContainer): Promise<string[]> {
    const reasons = new Set<string>(await processReasons(pid, this.#proc));
    const directory = join(this.#proc, String(pid), 'fd');
    const shared = await sharedMountsOf(pid, this.#proc);
    const look = async (fd: string): Promise<string | undefined> => {
      const link = await unlessEnded(readlink(join(directory, fd)));
      if (link === undefined) return undefined;
      const kind = reasonOfKind(link);
      return kind ?? unlessEnded(this.#reasonOfFile(pid, fd, link, { shared, ...looked }));
    };
    // A process may have very many.
    for (const reason of await Promise.all((await readdir(directory)).map(look)))
      if (reason !== undefined) reasons.add(reason);
    const mapped = await unlessEnded(mappedReasons(pid, { proc: this.#proc, ...looked }));
    for (const reason of mapped ?? []) reasons.add(reason);
    for (const socket of await this.#sockets(pid)) reasons.add(reasonOfSocket(socket));
    return [...reasons];
  }

  async #reasonOfFile(
    pid: number,
    fd: string,
    link: string,
    { shared, mounts }: { shared: ReadonlyMap<string, SharedMount>; mounts: Mounts },
  ): Promise<string | undefined> {
    if (link === 'anon_inode:inotify') return this.#reasonOfWatches(pid, fd);
    if (hasMode(link)) return reasonOfMode(link, await this.#fdinfo(pid, fd));
    if (!link.startsWith('/')) return undefined;
    const process = join(this.#proc, String(pid));
    const path = join(process, 'fd', fd);
    const device = RDMA_DEVICE.exec(link)?.[1];
    const kind = device === undefined ? undefined : kindOf(device, link);
    if (kind) {
      return (
        `has ${printable(link)} open (descriptor ${fd}) for ${kind.what}, which cannot be moved. ${kind.advice}, then create ` +
        'a new request.'
      );
    }
    const info = await this.#fdinfo(pid, fd);
    if (shared.size > 0) {
      const reason = await reasonOfSharedFile({ at: path, link, info }, shared);
      if (reason !== undefined) return reason;
    }
    const type = typeOf(info, mounts);
    // mq_open(3) opens a mount that nobody sees.
    if (type === 'mqueue' || (type === undefined && (await statfs(path)).type === MQUEUE)) {
      return `has the POSIX message queue ${printable(link)} open, which cannot be moved. Use a socket instead.`;
    }
    if (isMemoryFile(link)) return undefined;
    const foreign = reasonOfMount(link, info, mounts);
    if (foreign === undefined && !isDeleted(link)) return undefined;
    const file = await stat(path);
    if (foreign !== undefined && (file.isFile() || file.isDirectory())) return foreign;
    return reasonOfDeleted({ link, file, root: join(process, 'root') });
  }

  #fdinfo(pid: number, fd: string): Promise<string> {
    return readFile(join(this.#proc, String(pid), 'fdinfo', fd), 'utf8');
  }

  /** CRIU finds a watched file by its handle. Overlayfs gives out none that can be opened. */
  async #reasonOfWatches(pid: number, fd: string): Promise<string | undefined> {
    const info = await this.#fdinfo(pid, fd);
    const watched = [...info.matchAll(OVERLAY_HANDLE)].map(([, ino]) => parseInt(ino ?? '', 16));
    if (watched.length === 0) return undefined;
    const known = await inodesBelow(join(this.#proc, String(pid), 'root'));
    if (watched.every((ino) => known.has(ino))) return undefined;
    return (
      "watches a file or directory of its image's file system (inotify), which cannot be moved outside of /etc, /var/log and " +
      '/var/spool. Watch a directory of a volume (emptyDir), or poll.'
    );
  }
}

/** Inode numbers of what lies in CRIU's places, directories below them included. */
async function inodesBelow(root: string): Promise<Set<number>> {
  const found = new Set<number>();
  const directories = HINTS.map((hint) => join(root, hint));
  for (let path = directories.shift(); path !== undefined; path = directories.shift()) {
    const entry = await unlessAbsent(stat(path));
    if (!entry || found.size > MAX_HINTED) continue;
    found.add(entry.ino);
    if (!entry.isDirectory() || path === join(root, '/')) continue;
    for (const child of (await unlessAbsent(readdir(path, { withFileTypes: true }))) ?? []) {
      if (child.isDirectory()) directories.push(join(path, child.name));
      else if (child.isFile())
        found.add((await unlessAbsent(stat(join(path, child.name))))?.ino ?? 0);
    }
  }
  return found;
}

/** Undefined also for a path of the container's that leads through what is no directory. */
const unlessAbsent = <T>(work: Promise<T>): Promise<T | undefined> =>
  unlessErrno(unlessEnded(work), 'ENOTDIR');

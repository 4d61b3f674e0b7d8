// SPDX-License-Identifier: Apache-2.0
// What processes of one container have in common with those of another one, or with a process outside of the pod. CRIU
// dumps each container for itself. It refuses half of a connection between Unix sockets, and of the rest it makes a copy for
// each container, without a word: nothing that one writes reaches the other any more.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { unixSockets, type UnixSocket } from '../../../../native/addon/index.ts';
import { AgentError, unlessErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import { listProcesses, printable, PROC, processIn, unlessEnded } from '../runtime/process.ts';
import { isDeleted, isMemoryFile } from './deleted-files.ts';
import { throwFirst } from './findings.ts';
import { foundInEach, type Looking } from './looks.ts';
import { mappedFiles } from './mapped-files.ts';

type Looked = Pick<Container, 'name' | 'cgroup'>;

/** A request that is answered in a moment is over by then. */
const BETWEEN_MS = 100;

export interface ContainerLinksParts {
  /** The directory /proc. */
  proc?: string;
  sockets?: (netns: string) => Promise<UnixSocket[]>;
  betweenMs?: number;
  /** Between the looks. */
  sleep?: (ms: number) => Promise<unknown>;
}

/** The first process that was found to have something. */
interface Holder {
  container: string;
  pid: number;
  /** For people: a pipe, a path. */
  what: string;
}

/** Of each thing that can be shared, by a name for it: its holders, one of each container. */
type Things = Map<string, Holder[]>;

/** What one look has found, for people, by a key that the same thing has in another look, and nothing else ever. */
type Found = Map<string, string>;

/** The Unix sockets of one look. */
interface Sockets {
  /** All of the pod's network namespace, by inode. */
  known: ReadonlyMap<number, UnixSocket>;
  things: Things;
  /** Of those that the pod's processes have open: peers that a process of somebody else has. */
  outside: ReadonlySet<number>;
}

export class ContainerLinks {
  readonly #host: Host;
  readonly #proc: string;
  readonly #sockets: (netns: string) => Promise<UnixSocket[]>;
  readonly #between: Looking;

  constructor(
    host: Host,
    { proc = PROC, sockets = unixSockets, betweenMs = BETWEEN_MS, sleep }: ContainerLinksParts = {},
  ) {
    this.#host = host;
    this.#proc = proc;
    this.#sockets = sockets;
    this.#between = { betweenMs, sleep };
  }

  /**
   * Changes nothing.
   * @param netns of the pod
   * @throws AgentError UnsupportedObject, which names the processes, what they have in common and what to do
   */
  check(netns: string, containers: readonly Looked[]): Promise<void> {
    return throwFirst(this.findings(netns, containers));
  }

  /** All that `check` would refuse: what is found in each of its looks. Changes nothing. */
  async *findings(netns: string, containers: readonly Looked[]): AsyncGenerator<AgentError> {
    const found = await foundInEach(
      async () => [...(await this.#look(netns, containers))],
      ([key]) => key,
      this.#between,
    );
    // One process may have many connections to another one.
    for (const reason of new Set(found.map(([, one]) => one)))
      yield new AgentError('UnsupportedObject', reason);
  }

  async #look(netns: string, containers: readonly Looked[]): Promise<Found> {
    const things: Things = new Map();
    // Files of a pod of one container are shared with none.
    const isAlone = containers.length < 2;
    for (const [pid, container] of await this.#tasks(containers)) {
      const add = (key: string, what: string) => addHolder(things, key, { container, pid, what });
      await unlessEnded(this.#addOpen(pid, isAlone, add));
      if (!isAlone) await this.#addMapped(pid, add);
    }
    const found: Found = new Map();
    for (const [key, [one, other]] of things) {
      if (one && other) found.set(key, await this.#reasonOf(one, other));
    }
    const all = await this.#sockets(netns);
    const known = new Map(all.map((socket) => [socket.inode, socket]));
    const outside = await this.#outside(all, things, containers);
    for (const socket of all)
      for (const [key, reason] of await this.#ofSocket(socket, { known, things, outside }))
        found.set(key, reason);
    return found;
  }

  /** Names of the containers, by the PIDs of their tasks now. */
  async #tasks(containers: readonly Looked[]): Promise<Map<number, string>> {
    const tasks = new Map<number, string>();
    for (const { name, cgroup } of containers) {
      if (cgroup === undefined) continue;
      for (const pid of await new Cgroup(this.#host.path(cgroup)).tasks()) tasks.set(pid, name);
    }
    return tasks;
  }

  async #addOpen(
    pid: number,
    isAlone: boolean,
    add: (key: string, what: string) => void,
  ): Promise<void> {
    const process = join(this.#proc, String(pid));
    const look = async (fd: string): Promise<void> => {
      const path = join(process, 'fd', fd);
      const link = await unlessEnded(readlink(path));
      if (link === undefined) return;
      if (link.startsWith('socket:')) add(link, 'a socket');
      else if (isAlone) return;
      else if (link.startsWith('pipe:')) add(link, 'a pipe');
      else if (link === 'anon_inode:[eventfd]') {
        const info = (await unlessEnded(readFile(join(process, 'fdinfo', fd), 'utf8'))) ?? '';
        const id = /^eventfd-id:\s*(\d+)$/m.exec(info)?.[1];
        if (id !== undefined) add(`eventfd ${id}`, 'an eventfd');
      } else if (link.startsWith('/')) {
        const file = await unlessEnded(stat(path));
        if (file && isCopied(link, file)) add(idOf(file), nameOf(link, file));
      }
    };
    // A process may have very many.
    await Promise.all((await readdir(join(process, 'fd'))).map(look));
  }

  async #addMapped(pid: number, add: (key: string, what: string) => void): Promise<void> {
    for (const { id, path } of await mappedFiles(pid, this.#proc)) {
      if (!isDeleted(path)) continue;
      const [device = '', inode = ''] = id.split(' ');
      const [major = 0, minor = 0] = device.split(':').map((part) => Number.parseInt(part, 16));
      add(`file ${major}:${minor} ${inode}`, nameOf(path));
    }
  }

  async #reasonOf(one: Holder, other: Holder): Promise<string> {
    return (
      `${await this.#name(one)} and ${await this.#name(other, true)} have ${one.what} in common, which cannot be moved: each ` +
      'would have its own after the move. Let them share a file that keeps its name (in an emptyDir or /dev/shm), or connect by TCP at 127.0.0.1.'
    );
  }

  /** What is wrong with the connections of one socket. The key is the client's inode: it is there before it is accepted. */
  async #ofSocket(socket: UnixSocket, { known, things, outside }: Sockets): Promise<Found> {
    const found: Found = new Map();
    const { inode, peer, name, waiting } = socket;
    const own = holderOf(things, inode);
    if (!own) return found;
    const at = name === undefined ? '' : ` at ${socketName(name)}`;
    if (peer !== undefined && outside.has(peer)) {
      const reason =
        `${await this.#name(own)} is connected by a Unix socket${at} to a process outside of the pod, which cannot be moved. ` +
        'Close the connection for the move.';
      return found.set(`outside ${inode} ${peer}`, reason);
    }
    const add = async (key: string, end: Holder | undefined): Promise<void> => {
      if (!end || end.container === own.container) return;
      const reason =
        `${await this.#name(own)} and ${await this.#name(end, true)} are connected by a Unix socket${at}, which cannot be moved: ` +
        'CRIU dumps each container for itself. Let them connect by TCP at 127.0.0.1, or close the connection for the move.';
      found.set(`connected ${key}`, reason);
    };
    for (const client of waiting) await add(`${client}`, holderOf(things, client));
    const other = peer === undefined ? undefined : known.get(peer);
    if (!other) return found;
    const isMutual = other.peer === inode;
    // The other one says so, if it has the name.
    if (isMutual && name === undefined && (other.name !== undefined || other.inode < inode))
      return found;
    await add(isMutual ? `${other.inode}` : `${inode} ${other.inode}`, holderOf(things, peer));
    return found;
  }

  /**
   * Peers of the pod's sockets that processes outside of the pod have. One that no process of the pod had open when it was
   * looked at may be accepted since, may be on its way (SCM_RIGHTS), or have gone.
   */
  async #outside(
    all: readonly UnixSocket[],
    things: Things,
    containers: readonly Looked[],
  ): Promise<Set<number>> {
    const inodes = new Set(all.map(({ inode }) => inode));
    const open = new Map<string, number>();
    const outside = new Set<number>();
    for (const { inode, peer } of all) {
      if (peer === undefined || !holderOf(things, inode) || holderOf(things, peer)) continue;
      // Of another network namespace.
      if (!inodes.has(peer)) outside.add(peer);
      else open.set(socketLink(peer), peer);
    }
    if (open.size === 0) return outside;
    const own = await this.#tasks(containers);
    for (const pid of await listProcesses(this.#proc)) {
      if (own.has(pid)) continue;
      const found = await this.#openOf(pid, open);
      if (found.length === 0) continue;
      // The pod may have started it meanwhile, and it may have ended since.
      if ((await this.#tasks(containers)).has(pid)) continue;
      for (const inode of await this.#openOf(pid, open)) outside.add(inode);
    }
    return outside;
  }

  /** @param links what /proc/PID/fd has of the sockets that matter */
  async #openOf(pid: number, links: ReadonlyMap<string, number>): Promise<number[]> {
    const directory = join(this.#proc, String(pid), 'fd');
    const fds = (await unlessErrno(unlessEnded(readdir(directory)), 'EACCES')) ?? [];
    const found: number[] = [];
    for (const fd of fds) {
      const link = await unlessErrno(unlessEnded(readlink(join(directory, fd))), 'EACCES');
      const inode = links.get(link ?? '');
      if (inode !== undefined) found.push(inode);
    }
    return found;
  }

  async #name({ container, pid }: Holder, isWithin = false): Promise<string> {
    const name = await processIn(container, pid, this.#proc);
    return isWithin ? name.replace(/^P/, 'p') : name;
  }
}

function addHolder(things: Things, key: string, holder: Holder): void {
  const holders = things.get(key) ?? [];
  if (!holders.some(({ container }) => container === holder.container)) holders.push(holder);
  things.set(key, holders);
}

const socketLink = (inode: number): string => `socket:[${inode}]`;

const holderOf = (things: Things, inode: number | undefined): Holder | undefined =>
  inode === undefined ? undefined : things.get(socketLink(inode))?.[0];

/** What CRIU writes into each container's images; any other file has its content on a volume, once. */
const isCopied = (link: string, file: Stats): boolean =>
  file.isFIFO() || isMemoryFile(link) || (isDeleted(link) && file.isFile() && file.nlink === 0);

const nameOf = (link: string, file?: Stats): string =>
  `${file?.isFIFO() ? 'the named pipe' : 'the file'} ${printable(link)}`;

/** As stat(2) and makedev(3) have a device's number, and /proc/PID/maps its two halves. */
function idOf({ dev, ino }: Stats): string {
  const major = Math.floor(dev / 256) & 0xfff;
  const minor = (dev & 0xff) | (Math.floor(dev / 4096) & 0xfff00);
  return `file ${major}:${minor} ${ino}`;
}

/** unix(7): an abstract name begins with a zero byte. */
const socketName = (name: Buffer): string =>
  printable(name[0] === 0 ? `@${name.toString('latin1', 1)}` : name.toString('latin1'));

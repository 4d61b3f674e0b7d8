// SPDX-License-Identifier: Apache-2.0
// What processes of one container have in common with those of another one, or with a process outside of the pod. CRIU
// dumps each container for itself. It refuses half of a connection between Unix sockets, and of the rest it makes a copy for
// each container, without a word: nothing that one writes reaches the other any more.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { unixSockets, type UnixSocket } from '../../../../native/addon/index.ts';
import { AgentError, unlessErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import { listProcesses, printable, PROC, processIn, unlessEnded } from '../runtime/process.ts';
import { isDeleted, isMemoryFile } from './deleted-files.ts';
import { throwFirst } from './findings.ts';
import { mappedFiles } from './mapped-files.ts';

type Looked = Pick<Container, 'name' | 'cgroup'>;

/** A request that is answered in a moment is over by then. */
const LOOKS = 3;
const BETWEEN_MS = 100;

export interface ContainerLinksParts {
  /** The directory /proc. */
  proc?: string;
  sockets?: (netns: string) => Promise<UnixSocket[]>;
  betweenMs?: number;
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

export class ContainerLinks {
  readonly #host: Host;
  readonly #proc: string;
  readonly #sockets: (netns: string) => Promise<UnixSocket[]>;
  readonly #betweenMs: number;

  constructor(
    host: Host,
    { proc = PROC, sockets = unixSockets, betweenMs = BETWEEN_MS }: ContainerLinksParts = {},
  ) {
    this.#host = host;
    this.#proc = proc;
    this.#sockets = sockets;
    this.#betweenMs = betweenMs;
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
    let reasons = await this.#look(netns, containers);
    for (let look = 1; look < LOOKS && reasons.length > 0; look++) {
      await sleep(this.#betweenMs);
      const now = new Set(await this.#look(netns, containers));
      reasons = reasons.filter((reason) => now.has(reason));
    }
    for (const reason of reasons) yield new AgentError('UnsupportedObject', reason);
  }

  async #look(netns: string, containers: readonly Looked[]): Promise<string[]> {
    const things: Things = new Map();
    // Files of a pod of one container are shared with none.
    const isAlone = containers.length < 2;
    for (const { name, cgroup } of containers) {
      if (cgroup === undefined) continue;
      for (const pid of await new Cgroup(this.#host.path(cgroup)).tasks()) {
        const add = (key: string, what: string) =>
          addHolder(things, key, { container: name, pid, what });
        await unlessEnded(this.#addOpen(pid, isAlone, add));
        if (!isAlone) await this.#addMapped(pid, add);
      }
    }
    const reasons: string[] = [];
    for (const [one, other] of things.values()) {
      if (one && other) reasons.push(await this.#reasonOf(one, other));
    }
    const sockets = await this.#sockets(netns);
    const known = new Map(sockets.map((socket) => [socket.inode, socket]));
    for (const socket of sockets) {
      const reason = await this.#reasonOfSocket(socket, known, things);
      if (reason !== undefined) reasons.push(reason);
    }
    return reasons;
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

  /** @param known the Unix sockets of the pod's network namespace, by inode */
  async #reasonOfSocket(
    { inode, peer, name, waiting }: UnixSocket,
    known: ReadonlyMap<number, UnixSocket>,
    things: Things,
  ): Promise<string | undefined> {
    const of = (number: number): Holder | undefined => things.get(`socket:[${number}]`)?.[0];
    const own = of(inode);
    if (!own) return undefined;
    const at = name === undefined ? '' : ` at ${socketName(name)}`;
    const isElsewhere = (one: Holder | undefined) => one && one.container !== own.container;
    const other = peer === undefined ? undefined : known.get(peer);
    if (peer !== undefined && !of(peer) && (!other || (await this.#isOpenOutside(peer)))) {
      return (
        `${await this.#name(own)} is connected by a Unix socket${at} to a process outside of the pod, which cannot be moved. ` +
        'Close the connection for the move.'
      );
    }
    const client = waiting.map(of).find(isElsewhere);
    const end = client ?? (other && of(other.inode));
    if (!end || !isElsewhere(end)) return undefined;
    // The other one says so, if it has the name.
    const isMutual = !client && other?.peer === inode;
    if (isMutual && name === undefined && (other.name !== undefined || other.inode < inode))
      return undefined;
    return (
      `${await this.#name(own)} and ${await this.#name(end, true)} are connected by a Unix socket${at}, which cannot be moved: ` +
      'CRIU dumps each container for itself. Let them connect by TCP at 127.0.0.1, or close the connection for the move.'
    );
  }

  /** Of a socket that no process of the pod has open: another one of the node has; else it is on its way (SCM_RIGHTS). */
  async #isOpenOutside(inode: number): Promise<boolean> {
    for (const pid of await listProcesses(this.#proc)) {
      if (await unlessErrno(unlessEnded(this.#hasOpen(pid, inode)), 'EACCES')) return true;
    }
    return false;
  }

  async #hasOpen(pid: number, inode: number): Promise<boolean> {
    const directory = join(this.#proc, String(pid), 'fd');
    for (const fd of await readdir(directory))
      if ((await unlessEnded(readlink(join(directory, fd)))) === `socket:[${inode}]`) return true;
    return false;
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

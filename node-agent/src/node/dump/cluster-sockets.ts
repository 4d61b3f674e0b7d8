// SPDX-License-Identifier: Apache-2.0
// Sockets at the pod's cluster address, the one that the kubelet reports (status.podIPs). The target has another one, so
// they do not move. Such a pod is refused, or loses its TCP connections there, as request and policy say (docs/adr/0048). The
// checkpointer looks before anything is done to the pod, and once more when it stands still.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { PodIPConnections } from '../../../../crds/src/index.ts';
import { closedTcpOf } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { addressIn, canonical } from '../host/socket-table.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import { PROC, processIn, unlessEnded } from '../runtime/process.ts';
import { throwFirst } from './findings.ts';
import { foundInEach } from './looks.ts';

type Looked = Pick<Container, 'name' | 'cgroup' | 'pid'>;

/** What a pod that stands still loses with its cluster addresses. */
export interface LostOfFrozen {
  /** How many connections. */
  readonly count: number;
  /** Addresses that CRIU needs and the target does not have: of these connections, and of closed sockets. */
  readonly lend: readonly string[];
}

interface BoundSocket {
  readonly inode: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly listens: boolean;
  readonly isEstablished: boolean;
  /** Of TCP, in any state but listening: it would be reset. */
  readonly isConnection: boolean;
  readonly address: string;
  readonly port: number;
  /** Of a socket at a loopback address that is connected to one of the addresses: that end. */
  readonly peer?: { readonly address: string; readonly port: number } | undefined;
}

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6'] as const;
/** include/net/tcp_states.h: TCP_LISTEN. */
const LISTEN = '0A';
/** TCP_ESTABLISHED. */
const ESTABLISHED = '01';
/** A probe or a short request of a peer is over by then. */
const BETWEEN_MS = 300;

/** A pod has one or two more with each of its moves. */
const MAX_LENT = 16;

export interface ClusterSocketsParts {
  /** The directory /proc. */
  proc?: string;
  betweenMs?: number;
  closedTcp?: typeof closedTcpOf;
}

export class ClusterSockets {
  readonly #host: Host;
  readonly #proc: string;
  readonly #betweenMs: number;
  readonly #closedTcp: typeof closedTcpOf;

  constructor(host: Host, parts: ClusterSocketsParts = {}) {
    this.#host = host;
    this.#proc = parts.proc ?? PROC;
    this.#betweenMs = parts.betweenMs ?? BETWEEN_MS;
    this.#closedTcp = parts.closedTcp ?? closedTcpOf;
  }

  /**
   * No process has a socket at one of the addresses, or only for a moment. Changes nothing.
   * @param addresses the pod's cluster addresses, as text
   * @param connections `Reset`: TCP connections are none of them
   * @throws AgentError UnsupportedObject, which names the process and what to do
   */
  check(
    containers: readonly Looked[],
    addresses: readonly string[],
    connections: PodIPConnections = 'Refuse',
  ): Promise<void> {
    return throwFirst(this.findings(containers, addresses, connections));
  }

  /** All that `check` would refuse, process by process. Changes nothing. */
  async *findings(
    containers: readonly Looked[],
    addresses: readonly string[],
    connections: PodIPConnections = 'Refuse',
  ): AsyncGenerator<AgentError> {
    const found = await foundInEach(
      async () => (await this.#bound(containers, addresses)).filter(inTheWay(connections)),
      ({ inode }) => inode,
      { betweenMs: this.#betweenMs, asFirst: true },
    );
    yield* this.#refusals(containers, found);
  }

  /** How many connections the pod's processes have at the addresses now. Changes nothing. */
  async lost(containers: readonly Looked[], addresses: readonly string[]): Promise<number> {
    return this.#count(containers, await this.#bound(containers, addresses));
  }

  /**
   * The same of a pod that stands still. Sockets that are closed already lose nothing, but CRIU binds them again: at an address of
   * these, or at one that the pod has lost with a former move. Changes nothing.
   * @throws AgentError UnsupportedObject: it has got a socket there meanwhile that is in the way
   */
  async lostOfFrozen(
    containers: readonly Looked[],
    addresses: readonly string[],
    connections: PodIPConnections,
  ): Promise<LostOfFrozen> {
    const lend = new Set(await this.#closed(containers, addresses));
    const bound = await this.#bound(containers, [...addresses, ...lend]);
    await throwFirst(this.#refusals(containers, bound.filter(inTheWay(connections))));
    const count = await this.#count(containers, bound);
    // All of them: a connection may end between this look and CRIU's, and be a closed socket then.
    if (connections === 'Reset') for (const one of addresses) lend.add(canonical(one));
    return { count, lend: [...lend] };
  }

  /** Addresses of closed sockets that the target has not: some of these, and whatever the namespace does not have itself. */
  async #closed(containers: readonly Looked[], addresses: readonly string[]): Promise<string[]> {
    const own = new Set(addresses.map(canonical));
    const first = firstPid(containers);
    if (first === undefined) return [];
    const netns = join(this.#proc, String(first), 'ns', 'net');
    const found = new Set<string>();
    for await (const { name, pid } of this.#processes(containers)) {
      for (const { address, isThere } of await this.#closedTcp(netns, pid))
        if (!isThere || own.has(canonical(address))) found.add(canonical(address));
      if (found.size > MAX_LENT) throw tooMany(await processIn(name, pid, this.#proc));
    }
    return [...found];
  }

  async #count(containers: readonly Looked[], bound: readonly BoundSocket[]): Promise<number> {
    const found = new Set<BoundSocket>();
    const connections = bound.filter((one) => one.isConnection);
    for await (const { socket } of this.#holders(containers, connections)) found.add(socket);
    return found.size;
  }

  async #bound(
    containers: readonly Looked[],
    addresses: readonly string[],
  ): Promise<BoundSocket[]> {
    const own = new Set(addresses.map(canonical));
    const pid = firstPid(containers);
    if (pid === undefined || own.size === 0) return [];
    return [...(await this.#boundTo(pid, own)).values()];
  }

  /** Sockets of the pod's network namespace that belong to a file, by inode number. The agent's own are among them. */
  async #boundTo(pid: number, own: ReadonlySet<string>): Promise<Map<string, BoundSocket>> {
    const found = new Map<string, BoundSocket>();
    for (const table of TABLES) {
      const path = join(this.#proc, String(pid), 'net', table);
      const lines = ((await unlessEnded(readFile(path, 'utf8'))) ?? '').split('\n').slice(1);
      for (const line of lines) {
        const socket = socketIn(line, table.startsWith('tcp') ? 'TCP' : 'UDP');
        const at = socket && ifAt(socket, own);
        if (at) found.set(at.inode, at);
      }
    }
    return found;
  }

  async *#refusals(
    containers: readonly Looked[],
    bound: readonly BoundSocket[],
  ): AsyncGenerator<AgentError> {
    const established = bound.filter((one) => one.isEstablished).length;
    for await (const { name, pid, socket } of this.#holders(containers, bound)) {
      const who = await processIn(name, pid, this.#proc);
      yield new AgentError('UnsupportedObject', `${who} ${reasonOf(socket, established)}`);
    }
  }

  /** Each process of the containers that has one of the sockets open. */
  async *#holders(
    containers: readonly Looked[],
    bound: readonly BoundSocket[],
  ): AsyncGenerator<{ name: string; pid: number; socket: BoundSocket }> {
    if (bound.length === 0) return;
    const byInode = new Map(bound.map((one) => [one.inode, one]));
    for await (const { name, pid } of this.#processes(containers)) {
      const directory = join(this.#proc, String(pid), 'fd');
      for (const fd of (await unlessEnded(readdir(directory))) ?? []) {
        const link = await unlessEnded(readlink(join(directory, fd)));
        const socket = byInode.get(/^socket:\[(\d+)\]$/.exec(link ?? '')?.[1] ?? '');
        if (socket) yield { name, pid, socket };
      }
    }
  }

  async *#processes(containers: readonly Looked[]): AsyncGenerator<{ name: string; pid: number }> {
    for (const { name, cgroup } of containers) {
      if (cgroup === undefined) continue;
      for (const pid of await new Cgroup(this.#host.path(cgroup)).tasks()) yield { name, pid };
    }
  }
}

/** All containers have one network namespace: that of any process. */
const firstPid = (containers: readonly Looked[]): number | undefined =>
  containers.find((one) => one.pid !== undefined)?.pid;

/**
 * The socket, if it is at one of the addresses. Within the pod its near end is, too, as its loopback address says: an address that
 * the pod has lost before may be another pod's by now.
 */
function ifAt(socket: BoundSocket, own: ReadonlySet<string>): BoundSocket | undefined {
  const { peer, ...local } = socket;
  if (own.has(local.address)) return local;
  return peer && own.has(peer.address) ? socket : undefined;
}

/** Which sockets keep a pod from being moved. */
const inTheWay =
  (connections: PodIPConnections) =>
  ({ isConnection }: BoundSocket): boolean =>
    connections === 'Refuse' || !isConnection;

/** @param established how many connections the whole pod has at its cluster addresses */
function reasonOf(
  { protocol, listens, isConnection, peer, ...local }: BoundSocket,
  established: number,
): string {
  const { address, port } = peer ?? local;
  const connected = `has a ${protocol} socket ${peer ? 'connected to' : 'at'}`;
  const what = listens ? 'listens at' : connected;
  const other = listens ? 'listen on all addresses, or use' : 'use';
  const connections =
    established === 1 ? '1 established connection' : `${established} established connections`;
  const lost = established > 0 ? ` The pod would lose ${connections} at it.` : '';
  const reset = isConnection
    ? ' podIPConnections: Reset in a MigrationRequest or its policy moves the pod without its TCP connections there.'
    : '';
  return (
    `${what} ${address}, port ${port}: the pod's cluster address, which does not move with it.${lost}${reset} Let it ${other} an ` +
    'address of its RDMA network, or loopback between processes of the pod.'
  );
}

const tooMany = (who: string): AgentError =>
  new AgentError(
    'UnsupportedObject',
    `${who} and others of the pod have closed TCP sockets at more than ${MAX_LENT} addresses that the pod loses or has lost. Let them close their descriptors.`,
  );

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

function endIn(text: string | undefined): { address: string; port: number } | undefined {
  const [hex, port] = text?.split(':') ?? [];
  return hex && port ? { address: addressIn(hex), port: parseInt(port, 16) } : undefined;
}

/** A line of /proc/net/tcp and its like (proc_net_tcp.rst). Undefined: a socket that no file has, or no line. */
function socketIn(line: string, protocol: 'TCP' | 'UDP'): BoundSocket | undefined {
  const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/);
  const own = endIn(local);
  if (!own || !inode || inode === '0') return undefined;
  const listens = protocol === 'TCP' && state === LISTEN;
  const isEstablished = protocol === 'TCP' && state === ESTABLISHED;
  const isConnection = protocol === 'TCP' && !listens;
  const peer = isLoopback(own.address) ? endIn(remote) : undefined;
  return { ...{ inode, protocol, listens, isEstablished, isConnection, peer }, ...own };
}

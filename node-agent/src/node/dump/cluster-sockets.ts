// SPDX-License-Identifier: Apache-2.0
// Sockets at the pod's cluster address, the one that the kubelet reports (status.podIPs). The target has another one, so
// CRIU cannot bind them there. The checkpointer looks before anything is done to the pod.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { addressIn, canonical } from '../host/socket-table.ts';
import { Cgroup } from '../runtime/cgroup.ts';
import type { Container } from '../runtime/containers.ts';
import { PROC, processIn, unlessEnded } from '../runtime/process.ts';
import { throwFirst } from './findings.ts';
import { foundInEach } from './looks.ts';

type Looked = Pick<Container, 'name' | 'cgroup' | 'pid'>;

interface BoundSocket {
  readonly inode: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly listens: boolean;
  readonly isEstablished: boolean;
  readonly address: string;
  readonly port: number;
}

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6'] as const;
/** include/net/tcp_states.h: TCP_LISTEN. */
const LISTEN = '0A';
/** TCP_ESTABLISHED. */
const ESTABLISHED = '01';
/** A probe or a short request of a peer is over by then. */
const BETWEEN_MS = 300;

export interface ClusterSocketsParts {
  /** The directory /proc. */
  proc?: string;
  betweenMs?: number;
}

export class ClusterSockets {
  readonly #host: Host;
  readonly #proc: string;
  readonly #betweenMs: number;

  constructor(host: Host, { proc = PROC, betweenMs = BETWEEN_MS }: ClusterSocketsParts = {}) {
    this.#host = host;
    this.#proc = proc;
    this.#betweenMs = betweenMs;
  }

  /**
   * No process has a socket at one of the addresses, or only for a moment. Changes nothing.
   * @param addresses the pod's cluster addresses, as text
   * @throws AgentError UnsupportedObject, which names the process and what to do
   */
  check(containers: readonly Looked[], addresses: readonly string[]): Promise<void> {
    return throwFirst(this.findings(containers, addresses));
  }

  /** All that `check` would refuse, process by process. Changes nothing. */
  async *findings(
    containers: readonly Looked[],
    addresses: readonly string[],
  ): AsyncGenerator<AgentError> {
    const own = new Set(addresses.map(canonical));
    const pid = containers.find((one) => one.pid !== undefined)?.pid;
    if (pid === undefined || own.size === 0) return;
    const found = await foundInEach(
      async () => [...(await this.#boundTo(pid, own)).values()],
      ({ inode }) => inode,
      { betweenMs: this.#betweenMs, asFirst: true },
    );
    if (found.length === 0) return;
    const bound = new Map(found.map((one) => [one.inode, one]));
    const established = found.filter((one) => one.isEstablished).length;
    for (const container of containers) yield* this.#refusals(container, bound, established);
  }

  /** Sockets of the pod's network namespace that belong to a file, by inode number. The agent's own are among them. */
  async #boundTo(pid: number, own: ReadonlySet<string>): Promise<Map<string, BoundSocket>> {
    const found = new Map<string, BoundSocket>();
    for (const table of TABLES) {
      const path = join(this.#proc, String(pid), 'net', table);
      const lines = ((await unlessEnded(readFile(path, 'utf8'))) ?? '').split('\n').slice(1);
      for (const line of lines) {
        const socket = socketIn(line, table.startsWith('tcp') ? 'TCP' : 'UDP');
        if (socket && own.has(socket.address)) found.set(socket.inode, socket);
      }
    }
    return found;
  }

  /** Of each process of the container that has one of the sockets open. */
  async *#refusals(
    { name, cgroup }: Looked,
    bound: ReadonlyMap<string, BoundSocket>,
    established: number,
  ): AsyncGenerator<AgentError> {
    if (cgroup === undefined) return;
    for (const pid of await new Cgroup(this.#host.path(cgroup)).tasks()) {
      const directory = join(this.#proc, String(pid), 'fd');
      for (const fd of (await unlessEnded(readdir(directory))) ?? []) {
        const link = await unlessEnded(readlink(join(directory, fd)));
        const socket = bound.get(/^socket:\[(\d+)\]$/.exec(link ?? '')?.[1] ?? '');
        if (!socket) continue;
        const who = await processIn(name, pid, this.#proc);
        yield new AgentError('UnsupportedObject', `${who} ${reasonOf(socket, established)}`);
      }
    }
  }
}

/** @param established how many connections the whole pod has at its cluster addresses */
function reasonOf({ protocol, listens, address, port }: BoundSocket, established: number): string {
  const what = listens ? 'listens at' : `has a ${protocol} socket at`;
  const other = listens ? 'listen on all addresses, or use' : 'use';
  const connections =
    established === 1 ? '1 established connection' : `${established} established connections`;
  const lost = established > 0 ? ` The pod would lose ${connections} at it.` : '';
  return (
    `${what} ${address}, port ${port}: the pod's cluster address, which does not move with it.${lost} Let it ${other} an ` +
    'address of its RDMA network, or loopback between processes of the pod.'
  );
}

/** A line of /proc/net/tcp and its like (proc_net_tcp.rst). Undefined: a socket that no file has, or no line. */
function socketIn(line: string, protocol: 'TCP' | 'UDP'): BoundSocket | undefined {
  const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
  const [hex, port] = local?.split(':') ?? [];
  if (!hex || !port || !inode || inode === '0') return undefined;
  const listens = protocol === 'TCP' && state === LISTEN;
  const isEstablished = protocol === 'TCP' && state === ESTABLISHED;
  const address = addressIn(hex);
  return { inode, protocol, listens, isEstablished, address, port: parseInt(port, 16) };
}

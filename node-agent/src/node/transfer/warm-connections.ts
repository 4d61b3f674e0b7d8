// SPDX-License-Identifier: Apache-2.0
// TLS connections to other agents that are opened before a pod is locked, so that no handshake lengthens its blackout. One
// that is not there in time, or has been closed, costs nothing: the sender makes its own.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { agentDnsName } from '../../../../crds/src/index.ts';
import { CIPHERS, readCertificates, splitAddress } from './tls.ts';

/** Where a connection leads, and by whose certificate. */
export interface Destination {
  /** `host:port` of the other agent. */
  address: string;
  /** The other agent's node, which its certificate must name. */
  node: string;
  certificateDir: string;
}

/** Longer than a blackout. The receiver closes one that asks for nothing a little later. */
const KEPT_MS = 110_000;
/** For one that is still being opened. The sender's own attempt, which a signal ends, may take longer. */
const WAIT_MS = 500;
/** More moves than leave a node at a time. */
const MAX_KEPT = 16;

export class WarmConnections {
  /** By destination. Oldest first. */
  readonly #kept = new Map<string, Promise<TLSSocket | undefined>>();

  /** Begins to connect, unless there is a connection. Never fails. */
  prepare(to: Destination): void {
    const key = keyOf(to);
    if (this.#kept.has(key)) return;
    const opening = this.#open(to).catch(() => undefined);
    this.#kept.set(key, opening);
    const forget = (): void => {
      if (this.#kept.get(key) === opening) this.#kept.delete(key);
    };
    void opening.then((socket) => (socket ? socket.once('close', forget) : forget()));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) void this.#drop(oldest);
  }

  /** A connection that is open and that nobody else gets; undefined without one, half a second later if one is being opened. */
  async take(to: Destination): Promise<TLSSocket | undefined> {
    const key = keyOf(to);
    const opening = this.#kept.get(key);
    this.#kept.delete(key);
    if (!opening) return undefined;
    const socket = await Promise.race([opening, sleep(WAIT_MS, undefined, { ref: false })]);
    if (!socket) void opening.then((late) => late?.destroy());
    if (!socket || socket.destroyed || !socket.writable) return undefined;
    socket.removeAllListeners('timeout');
    socket.setTimeout(0);
    return socket;
  }

  async #open({ address, node, certificateDir }: Destination): Promise<TLSSocket> {
    const files = await readCertificates(certificateDir);
    const servername = agentDnsName(node);
    const socket = connect({ ...files, ...splitAddress(address), servername, ...CIPHERS });
    // It must not keep the agent from ending, nor end it by an error that nobody waits for.
    socket.unref();
    socket.on('error', () => undefined);
    socket.setTimeout(KEPT_MS, () => socket.destroy());
    const opened = Promise.withResolvers<TLSSocket>();
    socket.once('secureConnect', () => opened.resolve(socket));
    socket.once('close', () => opened.reject(new Error('closed')));
    return opened.promise;
  }

  async #drop(key: string): Promise<void> {
    const opening = this.#kept.get(key);
    this.#kept.delete(key);
    (await opening)?.destroy();
  }
}

const keyOf = ({ address, node }: Destination): string => `${node} ${address}`;

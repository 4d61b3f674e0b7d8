// SPDX-License-Identifier: Apache-2.0
// Connections to the receiver whose client has not shown a certificate yet. Every pod of the cluster can open them: they
// are few, and one address cannot take the places of the others.
import type { Duplex } from 'node:stream';

/** Where a connection comes from: both ends of TLS on it say the same. */
export interface Origin {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

const keyOf = ({ remoteAddress, remotePort }: Origin): string => `${remoteAddress} ${remotePort}`;

interface Client {
  readonly address: string;
  readonly socket: Pick<Duplex, 'destroy'>;
}

export class UnprovenClients {
  readonly #limit: number;
  /** By address and port; oldest first. */
  readonly #clients = new Map<string, Client>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds a new connection. If there are too many, the oldest one from the address that has most of them is closed. */
  add(socket: Pick<Duplex, 'destroy'> & Origin): void {
    this.#clients.set(keyOf(socket), { address: socket.remoteAddress ?? '', socket });
    if (this.#clients.size > this.#limit) this.#closeOne();
  }

  /** The connection has ended, or its client has shown a certificate. */
  remove(origin: Origin): void {
    this.#clients.delete(keyOf(origin));
  }

  #closeOne(): void {
    const counts = new Map<string, number>();
    for (const { address } of this.#clients.values())
      counts.set(address, (counts.get(address) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const [key, { address, socket }] of this.#clients) {
      if (counts.get(address) !== most) continue;
      this.#clients.delete(key);
      socket.destroy();
      return;
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
// By which addresses nodes reach each other: their InternalIPs, read from the API server and remembered for a while.
import { nodes, unlessNotFound, type Api, type Clock } from '../../../kube/src/index.ts';
import { AgentError } from '../support/errors.ts';

/** How long the address of a node is taken for right. */
const REMEMBERED_MS = 300_000;
/** How long a node that has none is not asked for again. */
const REMEMBERED_NONE_MS = 30_000;

export class NodeAddresses {
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #known = new Map<string, { address: string | undefined; until: number }>();

  constructor(api: Api, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** @throws AgentError NodeUnreachable: the node is gone or has none of that family; what the API server says */
  async of(
    name: string,
    family: 'IPv4' | 'IPv6',
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const address = await this.#read(name, family, signal);
    if (address !== undefined) return address;
    throw new AgentError(
      'NodeUnreachable',
      `Node ${name} has no InternalIP of family ${family}, so pods of this node do not reach what has moved there.`,
    );
  }

  async #read(
    name: string,
    family: string,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const key = `${name} ${family}`;
    const known = this.#known.get(key);
    const now = this.#clock.now();
    if (known && known.until > now) return known.address;
    try {
      const node = await unlessNotFound(this.#api.get(nodes, '', name, { signal }));
      const internal = node?.status.addresses.find(
        ({ type, address }) =>
          type === 'InternalIP' && address.includes(':') === (family === 'IPv6'),
      );
      const until = now + (internal ? REMEMBERED_MS : REMEMBERED_NONE_MS);
      this.#known.set(key, { address: internal?.address, until });
      return internal?.address;
    } catch (error) {
      // A node rarely changes its address, and routes must not wait for the API server.
      if (known?.address !== undefined) return known.address;
      throw error;
    }
  }
}

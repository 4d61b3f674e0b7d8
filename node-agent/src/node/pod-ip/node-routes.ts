// SPDX-License-Identifier: Apache-2.0
// This node's routes to addresses of moved pods. They are in a table of Sealift's own, which the kernel looks into before
// its main table: no route of the CNI plugin or of the cluster's administrator is changed, and all of them can be found
// and removed without a record. Pods that share a link with the address's former place get an answer there from the node.
import {
  addProxyNeighbour,
  announce,
  deleteProxyNeighbour,
  deleteRoute,
  ensureRule,
  proxyNeighbours,
  removeRule,
  replaceRoute,
  routes,
} from '../../../../native/addon/index.ts';
import { isIP } from 'node:net';

/** Number of the table, and the rule's priority: after `local` (0), before `main` (32766). */
export const TABLE = 7460;
const PRIORITY = 7460;
const ANNOUNCEMENTS = 3;

/** Where a kept address is. On this node: the interface before the pod. Elsewhere: an address of that node. */
export type KeptRoute =
  | { readonly address: string; readonly ifname: string }
  | { readonly address: string; readonly via: string };

export interface NodeRoutesOptions {
  /** Path of the node's network namespace. */
  netns: string;
  /** Interface on which pods of this node look for each other's addresses. */
  sharedLink: string | undefined;
}

export class NodeRoutes {
  readonly #options: NodeRoutesOptions;

  constructor(options: NodeRoutesOptions) {
    this.#options = options;
  }

  /**
   * Makes the routes these and no others.
   * @returns addresses whose route is new, or another one
   * @throws NativeError
   */
  async apply(wanted: readonly KeptRoute[]): Promise<string[]> {
    const { netns } = this.#options;
    const present = await routes(netns, TABLE);
    if (wanted.length > 0) await ensureRule({ netns, table: TABLE, priority: PRIORITY });
    const changed: string[] = [];
    for (const one of wanted) {
      const destination = withPrefix(one.address);
      const via = 'via' in one ? one.via : undefined;
      const ifname = 'ifname' in one ? one.ifname : undefined;
      const isThere = present.some(
        (route) =>
          route.destination === destination &&
          route.via === via &&
          route.ifname !== '' &&
          (ifname === undefined || route.ifname === ifname),
      );
      if (isThere) continue;
      // A route that replaces another must not keep its interface or gateway.
      await replaceRoute({ netns, table: TABLE, destination, via, ifname });
      changed.push(one.address);
    }
    const destinations = new Set(wanted.map(({ address }) => withPrefix(address)));
    for (const { destination } of present) {
      if (!destinations.has(destination)) await deleteRoute({ netns, table: TABLE, destination });
    }
    // Nothing is left on a node that no kept address concerns.
    if (wanted.length === 0) await removeRule({ netns, table: TABLE, priority: PRIORITY });
    const elsewhere = wanted.filter((one) => 'via' in one).map(({ address }) => address);
    await this.#answerFor(elsewhere);
    await this.#announce(elsewhere.filter((one) => changed.includes(one)));
    return changed;
  }

  /** The node answers for these addresses on the shared link, and for no others. */
  async #answerFor(addresses: readonly string[]): Promise<void> {
    const { netns, sharedLink } = this.#options;
    if (sharedLink === undefined) return;
    const present = await proxyNeighbours(netns);
    for (const address of addresses) {
      const isThere = present.some((one) => one.address === address && one.ifname === sharedLink);
      if (isThere) continue;
      // A node without a pod yet has no bridge; the next look comes with its first one.
      await addProxyNeighbour({ netns, ifname: sharedLink, address }).catch(unlessMissing);
    }
    for (const { address, ifname } of present) {
      if (addresses.includes(address) && ifname === sharedLink) continue;
      await deleteProxyNeighbour({ netns, ifname, address });
    }
  }

  /** Neighbours that know the address by its former MAC learn the node's at once. */
  async #announce(addresses: readonly string[]): Promise<void> {
    const { netns, sharedLink } = this.#options;
    if (sharedLink === undefined) return;
    for (const address of addresses) {
      const frames = { netns, ifname: sharedLink, count: ANNOUNCEMENTS, address };
      await announce(frames).catch(unlessMissing);
    }
  }
}

function unlessMissing(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'NoSuchInterface') throw error;
}

const withPrefix = (address: string): string => `${address}/${isIP(address) === 6 ? 128 : 32}`;

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
  type OwnRoute,
} from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import { AddressFailures, type AddressFailure } from './address-failures.ts';
import { withPrefix } from './prefix.ts';

/** Number of the table, and the rule's priority: after `local` (0), before `main` (32766). */
export const TABLE = 7460;
const PRIORITY = 7460;

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

/** What has become of the addresses. Those that are in none of the lists are as they should be. */
export interface Routed {
  /** Addresses whose route is new, or another one. */
  readonly changed: readonly string[];
  /** Addresses that cannot be reached, or no longer left, because the kernel or the node's configuration refuses it. */
  readonly failed: readonly AddressFailure[];
  /** Addresses that wait for something of this node which is still to come: a sandbox, the shared link. */
  readonly waiting: readonly string[];
}

export class NodeRoutes {
  readonly #options: NodeRoutesOptions;

  constructor(options: NodeRoutesOptions) {
    this.#options = options;
  }

  /**
   * Makes the routes these and no others. One address that fails keeps no other from being routed.
   * @param unknown addresses whose routes and answers stay as they are
   * @throws NativeError where nothing can be said of any address
   */
  async apply(wanted: readonly KeptRoute[], unknown: readonly string[] = []): Promise<Routed> {
    const { netns } = this.#options;
    const failures = new AddressFailures();
    const present = await routes(netns, TABLE);
    // Nothing is left on a node that no kept address concerns.
    const isConcerned = wanted.length + unknown.length > 0;
    const rule = { netns, table: TABLE, priority: PRIORITY };
    if (isConcerned) await ensureRule(rule);
    const changed = await this.#replaceRoutes(wanted, present, failures);
    const stay = new Set([...wanted.map(({ address }) => address), ...unknown].map(withPrefix));
    for (const { destination } of present) {
      if (stay.has(destination)) continue;
      const [address = ''] = destination.split('/');
      await failures.attempt([address], () => deleteRoute({ netns, table: TABLE, destination }));
    }
    if (!isConcerned) await removeRule(rule);
    const unrouted = failures.list.map(({ address }) => address);
    // What the node cannot route it does not ask its pods to send.
    const elsewhere = wanted
      .filter((one) => 'via' in one)
      .map(({ address }) => address)
      .filter((one) => !unrouted.includes(one));
    const waiting = await this.#answerFor(elsewhere, [...unknown, ...unrouted], failures);
    const news = elsewhere.filter((one) => changed.includes(one) && !waiting.includes(one));
    await this.#announce(news, failures);
    return { changed, failed: failures.list, waiting };
  }

  /** @returns addresses whose route is new, or another one */
  async #replaceRoutes(
    wanted: readonly KeptRoute[],
    present: readonly OwnRoute[],
    failures: AddressFailures,
  ): Promise<string[]> {
    const { netns } = this.#options;
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
      const route = { netns, table: TABLE, destination, via, ifname };
      const replace = (): Promise<void> => replaceRoute(route).catch(explainUnreachable(via));
      if (await failures.attempt([one.address], replace)) changed.push(one.address);
    }
    return changed;
  }

  /**
   * The node answers for these addresses on the shared link, and for no others but `unknown`.
   * @returns those for which there is no link yet: a node without a pod has no bridge
   */
  async #answerFor(
    addresses: readonly string[],
    unknown: readonly string[],
    failures: AddressFailures,
  ): Promise<string[]> {
    const { netns, sharedLink } = this.#options;
    const waiting: string[] = [];
    const present = await proxyNeighbours(netns);
    for (const address of sharedLink === undefined ? [] : addresses) {
      const isThere = present.some((one) => one.address === address && one.ifname === sharedLink);
      if (isThere) continue;
      const answer = { netns, ifname: sharedLink ?? '', address };
      await failures.attempt([address], () =>
        addProxyNeighbour(answer).catch((error: unknown) => {
          unlessMissing(error);
          waiting.push(address);
        }),
      );
    }
    for (const { address, ifname } of present) {
      const isWanted = addresses.includes(address) && ifname === sharedLink;
      if (isWanted || unknown.includes(address)) continue;
      await failures.attempt([address], () =>
        deleteProxyNeighbour({ netns, ifname, address }).catch(unlessMissing),
      );
    }
    return waiting;
  }

  /** Neighbours that know the address by its former MAC learn the node's at once. */
  async #announce(addresses: readonly string[], failures: AddressFailures): Promise<void> {
    const { netns, sharedLink: ifname } = this.#options;
    if (ifname === undefined) return;
    for (const address of addresses) {
      await failures.attempt([address], () =>
        announce({ netns, ifname, address }).catch(unlessMissing),
      );
    }
  }
}

function unlessMissing(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'NoSuchInterface') throw error;
}

const explainUnreachable =
  (via: string | undefined) =>
  (cause: unknown): never => {
    if (via === undefined || (cause as { code?: unknown }).code !== 'ENETUNREACH') throw cause;
    throw new AgentError(
      'NodeUnreachable',
      `This node does not reach ${via}, the InternalIP of the pod's node, without a router in between, so its pods do not reach ` +
        'the pod. Move pods only between nodes of one subnet.',
      { cause },
    );
  };

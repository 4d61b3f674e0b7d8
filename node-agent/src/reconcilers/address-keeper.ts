// SPDX-License-Identifier: Apache-2.0
// Keeps this node's routes to moved pods, and its reservations of addresses that have moved away, as the API server's pods
// and the journal say (kept-addresses.ts). Every node's agent does so, whether or not the node takes part in a move.
import {
  Controller,
  Informer,
  nodes,
  pods,
  unlessNotFound,
  withFaults,
  type Api,
  type Clock,
  type Logger,
  type Pod,
} from '../../../kube/src/index.ts';
import type { PodIp } from '../node/pod-ip/pod-ip.ts';
import type { Journal } from '../support/journal/journal.ts';
import { KEPT, keptAddresses, placesOf, type KeptPlace } from './kept-addresses.ts';

/** The controller's only key: all addresses are looked at together. */
const ALL = 'all';
/** Something else may have changed routes or records. */
const INTERVAL_MS = 60_000;
const RETRY = { baseMs: 1000, maxMs: 1000 };
/** How long the address of a node is taken for right. */
const NODE_ADDRESS_MS = 300_000;

export interface AddressKeeperParts {
  api: Api;
  clock: Clock;
  log: Logger;
  nodeName: string;
  journal: Journal;
  podIp: Pick<PodIp, 'route' | 'release' | 'reserveMissing'>;
}

export class AddressKeeper {
  readonly #parts: AddressKeeperParts;
  readonly #pods: Informer<Pod>;
  readonly #nodeAddresses = new Map<string, { address: string; until: number }>();
  readonly #controller: Controller;
  /** What was done last: without a change the node is not asked before the interval is over. */
  #done: { readonly what: string; readonly until: number } | undefined;

  constructor(parts: AddressKeeperParts) {
    this.#parts = parts;
    const { api, log, clock, journal } = parts;
    const selection = { labelSelector: KEPT };
    this.#pods = new Informer({ api, resource: pods, log, clock, selection });
    this.#controller = new Controller({
      name: 'kept-addresses',
      reconcile: async (_key, { signal }) => {
        await this.reconcile(signal);
        return { requeueAfterMs: INTERVAL_MS };
      },
      ...{ log, clock, concurrency: 1, backoff: RETRY },
    });
    const changed = (): void => this.#controller.enqueue(ALL);
    this.#pods.listen(changed);
    journal.listen(changed);
  }

  get informer(): Informer<Pod> {
    return this.#pods;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.race([
      this.#pods.synced,
      new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
    ]);
    this.#controller.enqueue(ALL);
    await this.#controller.run(signal);
  }

  /** Once. @throws what the node or the API server says */
  async reconcile(signal?: AbortSignal): Promise<void> {
    const { podIp, journal, nodeName, log, clock } = this.#parts;
    const all = this.#pods.list();
    const places = placesOf(all, journal.all());
    const kept = keptAddresses(all, journal.all());
    const what = JSON.stringify([places, [...kept].sort()]);
    if (what === this.#done?.what && clock.now() < this.#done.until) return;
    this.#done = undefined;
    const here = places.filter((one) => one.nodeName === nodeName);
    const elsewhere = places.filter((one) => one.nodeName !== nodeName);
    const remote = await Promise.all(elsewhere.map((one) => this.#behindNode(one, signal)));
    await withFaults('addresses.route', () => podIp.route({ here, elsewhere: remote.flat() }));
    await withFaults('addresses.reserve', async () => {
      // As of now: a source's agent writes its journal before it reserves, and both may have come since.
      await podIp.release((address) =>
        keptAddresses(this.#pods.list(), journal.all()).has(address),
      );
      const taken = await podIp.reserveMissing(places.flatMap(({ addresses }) => addresses));
      if (taken.length > 0) log.error({ addresses: taken }, 'two pods have the same address');
    });
    this.#done = { what, until: clock.now() + INTERVAL_MS };
  }

  async #behindNode(
    { nodeName, addresses }: KeptPlace,
    signal: AbortSignal | undefined,
  ): Promise<{ address: string; via: string }[]> {
    const found: { address: string; via: string }[] = [];
    for (const address of addresses) {
      const via = await this.#nodeAddress(nodeName, address.includes(':'), signal);
      if (via !== undefined) found.push({ address, via });
    }
    return found;
  }

  async #nodeAddress(
    name: string,
    isIpv6: boolean,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { api, clock } = this.#parts;
    const key = `${name} ${isIpv6}`;
    const known = this.#nodeAddresses.get(key);
    if (known && known.until > clock.now()) return known.address;
    try {
      const node = await unlessNotFound(api.get(nodes, '', name, { signal }));
      const internal = node?.status.addresses.find(
        ({ type, address }) => type === 'InternalIP' && address.includes(':') === isIpv6,
      );
      if (!internal) return undefined;
      const { address } = internal;
      this.#nodeAddresses.set(key, { address, until: clock.now() + NODE_ADDRESS_MS });
      return address;
    } catch (error) {
      // A node rarely changes its address, and other routes must not wait for the API server.
      if (known) return known.address;
      throw error;
    }
  }
}

// SPDX-License-Identifier: Apache-2.0
// Keeps this node's routes to moved pods, and its reservations of addresses that have moved away, as the API server's pods
// and the journal say (kept-addresses.ts). Every node's agent does so, whether or not the node takes part in a move.
import {
  listParsed,
  pods,
  withFaults,
  type Informer,
  type Api,
  type Clock,
  type Logger,
  type Pod,
} from '../../../kube/src/index.ts';
import { AddressFailures, type AddressFailure } from '../node/pod-ip/address-failures.ts';
import type { PodIp } from '../node/pod-ip/pod-ip.ts';
import type { Journal } from '../support/journal/journal.ts';
import { AddressWatch } from './address-watch.ts';
import {
  KEPT,
  keptAddresses,
  movingAddresses,
  placesOf,
  type KeptPlace,
} from './kept-addresses.ts';
import { NodeAddresses } from './node-addresses.ts';

/** Something else may have changed routes or records. */
const INTERVAL_MS = 60_000;
/** When something is not as it should be yet: a sandbox that is being made is there within a second. */
const RETRY_MS = 1000;
const SELECTION = { labelSelector: KEPT };

export interface AddressKeeperParts {
  api: Api;
  clock: Clock;
  log: Logger;
  nodeName: string;
  journal: Journal;
  podIp: Pick<PodIp, 'route' | 'release' | 'reserve' | 'reserveMissing' | 'prune' | 'listen'>;
}

export class AddressKeeper {
  readonly #parts: AddressKeeperParts;
  readonly #watch: AddressWatch;
  readonly #nodeAddresses: NodeAddresses;
  /** How many sandboxes have got kept addresses. */
  #placed = 0;
  /** What was done last: without a change the node is not asked before the interval is over. */
  #done: { readonly what: string; readonly until: number } | undefined;
  /** What the log has, by address. */
  readonly #reported = new Map<string, string>();

  constructor(parts: AddressKeeperParts) {
    this.#parts = parts;
    const { api, clock, podIp } = parts;
    this.#nodeAddresses = new NodeAddresses(api, clock);
    this.#watch = new AddressWatch({
      ...{ ...parts, ...SELECTION, name: 'kept-addresses' },
      backoff: { baseMs: RETRY_MS, maxMs: RETRY_MS },
      reconcile: async (signal) => ((await this.reconcile(signal)) ? INTERVAL_MS : RETRY_MS),
    });
    podIp.listen(() => {
      this.#placed++;
      this.#watch.changed();
    });
  }

  get informer(): Informer<Pod> {
    return this.#watch.pods;
  }

  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#watch.run(signal);
  }

  /**
   * Once. What fails for one address, or for the routes, keeps nothing else from being done.
   * @returns whether all is as it should be
   * @throws what the node says
   */
  async reconcile(signal?: AbortSignal): Promise<boolean> {
    const { journal, nodeName, clock } = this.#parts;
    const all = this.#watch.pods.list();
    const places = placesOf(all, journal.all());
    const here = places.filter((one) => one.nodeName === nodeName);
    const kept = [...keptAddresses(all, journal.all())].sort();
    const what = JSON.stringify([places, kept, containersOf(all, here), this.#placed]);
    if (what === this.#done?.what && clock.now() < this.#done.until) return true;
    this.#done = undefined;
    const elsewhere = places.filter((one) => one.nodeName !== nodeName);
    const [routed, reserved] = await Promise.allSettled([
      withFaults('addresses.route', () => this.#route(here, elsewhere, signal)),
      withFaults('addresses.reserve', () => this.#reserve(places, signal)),
    ]);
    const failed = [routed, reserved].flatMap((one) =>
      one.status === 'fulfilled' ? one.value.failed : [],
    );
    this.#report(failed);
    for (const one of [routed, reserved]) if (one.status === 'rejected') throw one.reason;
    const isWaiting = routed.status === 'fulfilled' && routed.value.isWaiting;
    if (isWaiting || failed.length > 0) return false;
    this.#done = { what, until: clock.now() + INTERVAL_MS };
    return true;
  }

  async #route(
    here: readonly KeptPlace[],
    elsewhere: readonly KeptPlace[],
    signal: AbortSignal | undefined,
  ): Promise<{ failed: AddressFailure[]; isWaiting: boolean }> {
    const { podIp } = this.#parts;
    const failures = new AddressFailures();
    const remote: { address: string; via: string }[] = [];
    const locate = (address: string, nodeName: string): Promise<boolean> =>
      failures.attempt([address], async () => {
        const family = address.includes(':') ? 'IPv6' : 'IPv4';
        remote.push({ address, via: await this.#nodeAddresses.of(nodeName, family, signal) });
      });
    await Promise.all(
      elsewhere.flatMap(({ nodeName, addresses }) =>
        addresses.map((address) => locate(address, nodeName)),
      ),
    );
    const unknown = failures.list.map(({ address }) => address);
    const { failed, waiting } = await podIp.route({ here, elsewhere: remote, unknown });
    return { failed: [...failures.list, ...failed], isWaiting: waiting.length > 0 };
  }

  async #reserve(
    places: readonly KeptPlace[],
    signal: AbortSignal | undefined,
  ): Promise<{ failed: AddressFailure[] }> {
    const { podIp, api, journal } = this.#parts;
    let fresh: Promise<Pod[]> | undefined;
    // As of now: a source's agent writes its journal before it reserves, and both may have come since.
    const isKept = async (address: string): Promise<boolean> => {
      if (keptAddresses(this.#watch.pods.list(), journal.all()).has(address)) return true;
      // The watch may be behind: a target is made before its source is locked.
      fresh ??= listParsed(api, pods, { ...SELECTION, signal });
      return keptAddresses(await fresh, journal.all()).has(address);
    };
    const failures = new AddressFailures();
    const moving = movingAddresses(journal.all());
    // The step that locks the pod has done so; somebody else may have removed it since.
    await failures.attempt(moving, () => podIp.reserve(moving));
    const released = await podIp.release(isKept);
    const taken = await podIp.reserveMissing(places.flatMap(({ addresses }) => addresses));
    const known = new Set(this.#watch.pods.list().map(({ metadata }) => metadata.uid));
    await podIp.prune((podUid) => known.has(podUid));
    return { failed: [...failures.list, ...released, ...taken] };
  }

  /** Each failure once, as long as it stays the same. */
  #report(failed: readonly AddressFailure[]): void {
    const { log } = this.#parts;
    const now = new Map(failed.map((one) => [one.address, one]));
    for (const { address, code, message } of now.values()) {
      if (this.#reported.get(address) === message) continue;
      this.#reported.set(address, message);
      log.error({ address, code, detail: message }, 'an address of a moved pod is not kept here');
    }
    for (const address of this.#reported.keys()) {
      if (now.has(address)) continue;
      this.#reported.delete(address);
      log.info({ address }, 'the address of a moved pod is kept here again');
    }
  }
}

/** A container that has started anew may be in a new sandbox. */
function containersOf(all: readonly Pod[], here: readonly KeptPlace[]): unknown {
  const uids = new Set(here.map(({ podUid }) => podUid));
  return all
    .filter(({ metadata }) => uids.has(metadata.uid))
    .map(({ status }) => status.containerStatuses.map(({ containerID }) => containerID));
}

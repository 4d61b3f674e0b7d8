// SPDX-License-Identifier: Apache-2.0
// Ends this node's reservations of moved pods' addresses in the RDMA network, and makes those that are missing, as the API
// server's pods and the journal say. A pod may move on from node to node: each one that it has been on keeps its record.
import {
  withFaults,
  type Informer,
  type Api,
  type Clock,
  type Logger,
  type Pod,
} from '../../../kube/src/index.ts';
import { labels } from '../../../crds/src/index.ts';
import type { FabricAddresses } from '../node/fabric-addresses/fabric-addresses.ts';
import { fabricKeptBy, hasEnded } from '../support/kept-by.ts';
import type { Journal } from '../support/journal/journal.ts';
import { AddressWatch } from './address-watch.ts';
import { fabricAddresses, isDecided } from './kept-addresses.ts';

/** Something else may have changed the records. */
const INTERVAL_MS = 60_000;
const RETRY = { baseMs: 1000, maxMs: 60_000 };

export interface FabricAddressKeeperParts {
  api: Api;
  clock: Clock;
  log: Logger;
  nodeName: string;
  journal: Journal;
  addresses: Pick<FabricAddresses, 'release' | 'reserveMissing'>;
}

export class FabricAddressKeeper {
  readonly #parts: FabricAddressKeeperParts;
  readonly #watch: AddressWatch;

  constructor(parts: FabricAddressKeeperParts) {
    this.#parts = parts;
    this.#watch = new AddressWatch({
      ...{ ...parts, name: 'fabric-addresses', labelSelector: labels.fabricIp, backoff: RETRY },
      reconcile: async () => {
        await this.reconcile();
        return INTERVAL_MS;
      },
    });
  }

  get informer(): Informer<Pod> {
    return this.#watch.pods;
  }

  /** Runs until the signal aborts. Nothing is released before the pods are known. */
  run(signal: AbortSignal): Promise<void> {
    return this.#watch.run(signal);
  }

  /** Once. @throws what the node says */
  async reconcile(): Promise<void> {
    const { addresses, journal, nodeName, log } = this.#parts;
    const elsewhere = this.#watch.pods
      .list()
      .filter((pod) => !hasEnded(pod) && isDecided(pod, journal.all()))
      .filter((pod) => pod.spec.nodeName !== nodeName);
    await withFaults('addresses.reserve', async () => {
      // As of now: a source's agent writes its journal before it reserves, and both may have come since.
      await addresses.release((address) =>
        fabricAddresses(this.#watch.pods.list(), journal.all()).has(address),
      );
      const taken = await addresses.reserveMissing(elsewhere.flatMap(fabricKeptBy));
      if (taken.length > 0) log.error({ addresses: taken }, 'two pods have the same address');
    });
  }
}

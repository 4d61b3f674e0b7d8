// SPDX-License-Identifier: Apache-2.0
// Keeps the list of pods whose evictions fail while no operator answers: those that are to be moved (docs/adr/0022). Only the
// replica that leads writes it. The API server cannot select pods by their runtime class or by an annotation, and an object's
// metadata does not have the class either: the guard reads each change of all pods that have not ended. It keeps a few fields of
// those in Sealift's runtime; for another pod it does no more than parse what came.
import { z } from 'zod';
import {
  annotations,
  ObjectMeta,
  RUNTIME_CLASS,
  type MigrationPolicy,
} from '../../../crds/src/index.ts';
import {
  Controller,
  Informer,
  NOT_ENDED,
  pods,
  type Api,
  type Clock,
  type Logger,
  type Namespace,
  type Resource,
} from '../../../kube/src/index.ts';
import { guardExpression, register, type Guarded } from './registration.ts';
import { wishFor } from './wish.ts';

const Seen = z.object({
  metadata: ObjectMeta,
  spec: z.object({ runtimeClassName: z.string().nullish() }),
  status: z.object({ phase: z.string().default('') }).prefault({}),
});

/** A pod as the guard remembers it: without labels and annotations unless it runs in Sealift's runtime. */
export interface GuardPod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly isCandidate: boolean;
}

const nothing = Object.freeze({});

export const guardPods: Resource<GuardPod> = {
  ...pods,
  parse: (json) => {
    const { metadata, spec, status } = Seen.parse(json);
    const { name, namespace, uid, resourceVersion } = metadata;
    const isCandidate =
      spec.runtimeClassName === RUNTIME_CLASS && !['Succeeded', 'Failed'].includes(status.phase);
    const own = metadata.annotations[annotations.eviction];
    return {
      metadata: {
        ...{ name, namespace, uid, resourceVersion },
        labels: isCandidate ? metadata.labels : nothing,
        annotations: isCandidate && own !== undefined ? { [annotations.eviction]: own } : nothing,
      },
      isCandidate,
    };
  },
};

/** Pure. */
export function guarded(
  all: readonly GuardPod[],
  labelsOf: (namespace: string) => Readonly<Record<string, string>>,
  policies: readonly MigrationPolicy[],
): Guarded[] {
  return all
    .filter((one) => one.isCandidate)
    .filter((one) => wishFor(one, { labels: labelsOf(one.metadata.namespace) }, policies).moves)
    .map(({ metadata: { namespace, name } }) => ({ namespace, name }));
}

/** How often the API server gets a new list at most: it compiles each. */
const quietMs = 1_000;
/** Somebody may have changed the configuration. */
const refreshMs = 600_000;

export interface GuardParts {
  readonly api: Api;
  readonly log: Logger;
  readonly clock: Clock;
  /** Name of the ValidatingWebhookConfiguration. */
  readonly configuration: string;
  readonly policies: Informer<MigrationPolicy>;
  readonly namespaces: Informer<Namespace>;
}

export class EvictionGuard {
  readonly #parts: GuardParts;
  readonly informer: Informer<GuardPod>;
  readonly #controller: Controller;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    const { api, log, clock } = parts;
    const keep = ({ isCandidate }: GuardPod): boolean => isCandidate;
    // One that ends leaves the list as if it were deleted.
    const selection = { fieldSelector: NOT_ENDED };
    this.informer = new Informer({ api, resource: guardPods, log, clock, selection, keep });
    this.#controller = new Controller({
      name: 'eviction-guard',
      reconcile: async (_key, { signal }) => {
        await this.#write(signal);
        return { requeueAfterMs: refreshMs };
      },
      ...{ log, clock, concurrency: 1 },
    });
    const changed = (): void => this.#controller.queue.addAfter('pods', quietMs);
    this.informer.listen(changed);
    parts.policies.listen(changed);
    parts.namespaces.listen(changed);
  }

  /** Runs until the signal aborts; whoever calls runs the informers, and calls when they are synced. */
  run(signal: AbortSignal): Promise<void> {
    this.#controller.enqueue('pods');
    return this.#controller.run(signal);
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { api, configuration, policies, namespaces: all } = this.#parts;
    const labelsOf = (name: string) => all.get(name)?.metadata.labels ?? {};
    const pods = guarded(this.informer.list(), labelsOf, policies.list());
    const guard = guardExpression(pods);
    await register(api, configuration, { guard }, { signal });
  }
}

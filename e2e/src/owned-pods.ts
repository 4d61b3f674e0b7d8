// SPDX-License-Identifier: Apache-2.0
// Pods that a controller makes: a Deployment, a StatefulSet or a Job with the cases' pod as its template.
import { apply, kubectlJson } from './cluster.ts';
import { LedgerPair, type LedgerOptions } from './ledger-pair.ts';
import type { CaseContext } from './case.ts';
import { Looks } from './looks.ts';
import type { Endpoint } from './pair.ts';
import { podManifest, podStatus, type PodOptions } from './pods.ts';
import { until } from './wait.ts';

interface Manifest {
  readonly metadata: { readonly labels: object; readonly annotations: object };
  readonly spec: object;
}

/** Makes a controller of a template. `labels` select its pods. */
export type Controller = (name: string, labels: object, template: object) => object;

export const deployment =
  (replicas: number): Controller =>
  (name, labels, template) => ({
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name } },
    spec: { replicas, selector: { matchLabels: labels }, template },
  });

export const statefulSet =
  (replicas: number): Controller =>
  (name, labels, template) => ({
    ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name } },
    spec: { replicas, serviceName: name, selector: { matchLabels: labels }, template },
  });

/** @param spec counts and completion mode. No pod may fail. */
export const job =
  (spec: object): Controller =>
  (name, _labels, template) => ({
    ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name } },
    spec: { backoffLimit: 0, ...spec, template },
  });

/** Creates the controller. Its pods have the label `sealift-e2e: <name>`. */
export async function startOwned(controller: Controller, o: PodOptions): Promise<void> {
  const { metadata, spec } = podManifest(o) as Manifest;
  const { labels, annotations } = metadata;
  const made = controller(o.name, labels, { metadata: { labels, annotations }, spec }) as {
    kind: string;
    metadata: object;
    spec: { template: { spec: object } };
  };
  // The only policy that these allow.
  if (made.kind !== 'Job') Object.assign(made.spec.template.spec, { restartPolicy: 'Always' });
  await apply({ ...made, metadata: { ...made.metadata, namespace: o.namespace } });
}

export interface OwnedPod {
  readonly name: string;
  readonly node: string;
  readonly ready: boolean;
  /** Name of its controller. */
  readonly owner: string | undefined;
  readonly finalizers: readonly string[];
}

interface PodList {
  readonly items: {
    metadata: {
      name: string;
      finalizers?: string[];
      ownerReferences?: { name: string; controller?: boolean }[];
    };
    spec: { nodeName?: string };
    status: { conditions?: { type: string; status: string }[] };
  }[];
}

/** All pods with the label of a controller. */
export async function ownedPods(namespace: string, name: string): Promise<OwnedPod[]> {
  const selector = `sealift-e2e=${name}`;
  const { items } = (await kubectlJson('-n', namespace, 'get', 'pod', '-l', selector)) as PodList;
  return items.map(({ metadata, spec, status }) => ({
    name: metadata.name,
    node: spec.nodeName ?? '',
    ready: status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false,
    owner: metadata.ownerReferences?.find((one) => one.controller)?.name,
    finalizers: metadata.finalizers ?? [],
  }));
}

/** Waits until so many of them are ready. */
export const readyPods = (namespace: string, name: string, count: number): Promise<OwnedPod[]> =>
  until(`${count} pods of ${name} are ready`, { within: 300, every: 2 }, async () => {
    const pods = await ownedPods(namespace, name);
    return pods.filter((one) => one.ready).length === count ? pods : undefined;
  });

/** What a ReplicaSet or Job has said about its pods, and the pods that there were, as long as it watches. */
export class ControllerWatch<S> extends Looks {
  readonly statuses: S[];
  readonly names: Set<string>;

  /** @param object as kubectl names it, e.g. `job/one` */
  constructor(namespace: string, label: string, object: string) {
    const statuses: S[] = [];
    const names = new Set<string>();
    super(async () => {
      const pods = await ownedPods(namespace, label);
      for (const { name } of pods) names.add(name);
      const { status } = (await kubectlJson('-n', namespace, 'get', object)) as { status: S };
      statuses.push(status);
    });
    this.statuses = statuses;
    this.names = names;
  }
}

/** A ledger pair whose server belongs to a controller. */
export class OwnedLedgerPair extends LedgerPair {
  readonly #controller: Controller;
  /** Of the controller, and the value of its pods' label. */
  readonly name: string;

  constructor(context: CaseContext, controller: Controller, options: LedgerOptions = {}) {
    super(context, options);
    this.#controller = controller;
    this.name = this.pods.server;
  }

  protected override async startPod(
    endpoint: Endpoint,
    options: Partial<PodOptions> & Pick<PodOptions, 'command'>,
  ): Promise<void> {
    if (endpoint === 'client') return super.startPod(endpoint, options);
    const { namespace } = this.context;
    const { name } = this;
    const pod = { namespace, name, node: this.nodes.server, address: this.addresses.server };
    await startOwned(this.#controller, { ...pod, ...options });
    const [made] = await readyPods(namespace, name, 1);
    this.follow('server', made?.name ?? '', made?.node ?? '');
    await podStatus(namespace, this.pods.server);
  }
}

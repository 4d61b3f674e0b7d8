// SPDX-License-Identifier: Apache-2.0
// Sets of pods that a test runs, whatever controller they have, and what a user does to one in the middle of a move.
import { pods, type Resource } from '../../kube/src/index.ts';
import { eventually, type Cluster } from './cluster.ts';
import {
  deployments,
  jobs,
  podTemplate,
  replicaSets,
  statefulSets,
  Workloads,
  type Workload,
} from './workloads.ts';

type Kind = 'Deployment' | 'ReplicaSet' | 'StatefulSet' | 'Job';

const resources: Readonly<Record<Kind, Resource<Workload>>> = {
  Deployment: deployments,
  ReplicaSet: replicaSets,
  StatefulSet: statefulSets,
  Job: jobs,
};

/** Of so many pods with the label `app: <name>`. */
function specOf(kind: Kind, name: string, count: number): object {
  if (kind === 'Job') {
    const template = podTemplate(name, { restartPolicy: 'Never' });
    return { completions: count, parallelism: count, backoffLimit: 0, template };
  }
  const of = { replicas: count, selector: { matchLabels: { app: name } } };
  const own = kind === 'StatefulSet' ? { serviceName: name } : {};
  return { ...of, ...own, template: podTemplate(name) };
}

/** A set that runs, and a watch that misses no state of its pods. */
export class RunningSet {
  readonly w: Workloads;
  /** Of its first pods. */
  readonly names: readonly string[];
  readonly #c: Cluster;
  readonly #kind: Kind;
  readonly #name: string;

  constructor(c: Cluster, kind: Kind, name: string, w: Workloads, names: readonly string[]) {
    this.#c = c;
    this.#kind = kind;
    this.#name = name;
    this.w = w;
    this.names = names;
  }

  /** By a merge patch. */
  async change(spec: object): Promise<void> {
    await this.#c.client.merge(resources[this.#kind], 'default', this.#name, { spec });
  }

  /** Its object's finalizers, as an operator of somebody else's sets them. */
  async hold(finalizers: readonly string[]): Promise<void> {
    const metadata = { finalizers };
    await this.#c.client.merge(resources[this.#kind], 'default', this.#name, { metadata });
  }

  /** @param by how its pods go: before it, after it, or not at all */
  async remove(by: 'Foreground' | 'Background' | 'Orphan'): Promise<void> {
    const { apiVersion, plural } = resources[this.#kind];
    await this.#c.client.rest.request({
      method: 'DELETE',
      path: `/apis/${apiVersion}/namespaces/default/${plural}/${this.#name}`,
      body: { propagationPolicy: by },
    });
  }

  readonly object = (): Promise<Workload | undefined> =>
    this.#c.find(resources[this.#kind], this.#name);

  readonly status = async (): Promise<Record<string, unknown> | undefined> =>
    (await this.object())?.status;

  /** Names of all pods with its label. */
  readonly left = async (): Promise<string[]> => {
    const { items } = await this.#c.client.list(pods, { labelSelector: `app=${this.#name}` });
    return items.map((one) => pods.parse(one).metadata.name).sort();
  };
}

/** Runs a set until `by` ends, and leaves nothing of it. */
export async function runSet(
  c: Cluster,
  [kind, name, count]: readonly [Kind, string, number],
  by: (set: RunningSet) => Promise<void>,
  spec: object = {},
): Promise<void> {
  const w = new Workloads(c, name);
  await w.start();
  try {
    const body = { metadata: { name }, spec: { ...specOf(kind, name, count), ...spec } };
    await c.client.create(resources[kind], 'default', body);
    const set = new RunningSet(c, kind, name, w, (await w.ready(count)).sort());
    const ready = kind === 'Job' ? { ready: count } : { readyReplicas: count };
    await eventually(set.status).toMatchObject(ready);
    await by(set);
  } finally {
    if (await c.find(resources[kind], name)) {
      await c.client.delete(resources[kind], 'default', name, { gracePeriodSeconds: 0 });
    }
    await c.client.rest.request({
      method: 'DELETE',
      path: '/api/v1/namespaces/default/pods',
      query: { labelSelector: `app=${name}` },
      body: { gracePeriodSeconds: 0 },
    });
    await w.stop();
  }
}

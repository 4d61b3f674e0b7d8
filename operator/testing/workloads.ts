// SPDX-License-Identifier: Apache-2.0
// Pods that a controller makes, what their kubelets would do, and a watch that misses no state of them.
import { setTimeout as sleep } from 'node:timers/promises';
import { annotations, labels, RUNTIME_CLASS } from '../../crds/src/index.ts';
import {
  FaultError,
  isNotFound,
  migrationRequests,
  ownFaults,
  pods,
  type Pod,
  type Resource,
} from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, type Cluster } from './cluster.ts';
import { prepared } from './moving.ts';

export interface Workload {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: { readonly replicas?: number };
  readonly status?: Record<string, unknown>;
}

export function resource(apiVersion: string, kind: string, plural: string): Resource<Workload> {
  return { apiVersion, kind, plural, namespaced: true, parse: (json) => json as Workload };
}
export const deployments = resource('apps/v1', 'Deployment', 'deployments');
export const replicaSets = resource('apps/v1', 'ReplicaSet', 'replicasets');
export const statefulSets = resource('apps/v1', 'StatefulSet', 'statefulsets');
export const jobs = resource('batch/v1', 'Job', 'jobs');
export const autoscalers = resource(
  'autoscaling/v2',
  'HorizontalPodAutoscaler',
  'horizontalpodautoscalers',
);
export const budgets = resource('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets');

/** Of pods with the label `app: <name>`. */
export const podTemplate = (name: string, spec: object = {}): object => ({
  metadata: { labels: { app: name } },
  spec: {
    runtimeClassName: RUNTIME_CLASS,
    containers: [{ name: 'main', image: 'x' }],
    ...spec,
  },
});

const isReady = ({ status }: Pod): boolean =>
  status.conditions.some((one) => one.type === 'Ready' && one.status === 'True');

/** What is seen of a controller's pods at one version. */
export interface Seen {
  /** Pods with a reference to the controller that it does not count as ended or deleted. */
  readonly active: readonly Pod[];
  readonly ready: number;
}

/** The pods with a label `app`; the test is their scheduler and their kubelets. */
export class Workloads {
  readonly #c: Cluster;
  readonly #app: string;
  readonly #stop = new AbortController();
  readonly #pods = new Map<string, Pod>();
  /** Names of all pods that were ever seen. */
  readonly names = new Set<string>();
  /** By controller, each state that there was, in order. */
  readonly seen = new Map<string, Seen[]>();
  readonly #uids = new Map<string, Set<string>>();
  #running: Promise<unknown>[] = [];

  constructor(c: Cluster, app: string) {
    this.#c = c;
    this.#app = app;
  }

  async start(): Promise<void> {
    const selection = { namespace: 'default', labelSelector: `app=${this.#app}` };
    const { items, resourceVersion } = await this.#c.client.list(pods, selection);
    for (const item of items) this.#record('ADDED', pods.parse(item));
    this.#running = [this.#watch(resourceVersion, selection), this.#kubelet()];
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running);
  }

  async #watch(version: string, selection: object): Promise<void> {
    const { signal } = this.#stop;
    for await (const event of this.#c.client.watch(pods, version, { ...selection, signal })) {
      if (event.type !== 'BOOKMARK') this.#record(event.type, pods.parse(event.object));
    }
  }

  #record(type: 'ADDED' | 'MODIFIED' | 'DELETED', pod: Pod): void {
    const { name } = pod.metadata;
    this.names.add(name);
    this.#uids.set(name, this.uidsOf(name).add(pod.metadata.uid));
    if (type === 'DELETED') this.#pods.delete(name);
    else this.#pods.set(name, pod);
    const owners = [...this.#pods.values()].map((one) => controllerOf(one)?.name);
    for (const owner of new Set([...owners, ...this.seen.keys()])) {
      if (owner === undefined || owner === 'default') continue;
      const active = this.activeOf(owner);
      const all = this.seen.get(owner) ?? [];
      all.push({ active, ready: active.filter(isReady).length });
      this.seen.set(owner, all);
    }
  }

  /** As the controllers count them: `FilterActivePods`. */
  activeOf(owner: string): Pod[] {
    return [...this.#pods.values()].filter(
      (one) =>
        controllerOf(one)?.name === owner &&
        one.metadata.deletionTimestamp === undefined &&
        !['Succeeded', 'Failed'].includes(one.status.phase),
    );
  }

  /** Schedules and runs what the controllers make, and ends what is deleted. */
  async #kubelet(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const pod of [...this.#pods.values()]) {
        try {
          await this.#sync(pod);
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }
      await sleep(50);
    }
  }

  async #sync({ metadata, spec, status }: Pod): Promise<void> {
    const { name } = metadata;
    if (metadata.deletionTimestamp !== undefined) {
      return this.#c.client.delete(pods, 'default', name, { gracePeriodSeconds: 0 });
    }
    const isTarget = metadata.annotations[annotations.migration] !== undefined;
    if (isTarget || metadata.labels[labels.role] !== undefined || status.phase !== 'Pending')
      return;
    if (spec.nodeName === '') await this.#c.bind(name, 'a');
    await this.#c.podRuns(name);
  }

  /** Waits until so many pods of a controller are ready. @returns their names */
  async ready(count: number, owner?: string): Promise<string[]> {
    const found = (): Pod[] =>
      [...this.#pods.values()].filter((one) => {
        const name = controllerOf(one)?.name;
        return name !== undefined && (owner === undefined || name === owner) && isReady(one);
      });
    await eventually(() => found().length).toBe(count);
    return found().map((one) => one.metadata.name);
  }

  /** UIDs of all pods of that name that were ever seen. */
  uidsOf(name: string): Set<string> {
    return this.#uids.get(name) ?? new Set();
  }

  pod(name: string): Pod | undefined {
    return this.#pods.get(name);
  }
}

/** Each of these fault points fails once, before its effect and after it. @returns those that nothing has passed yet */
export function failOnce(...points: string[]): Set<string> {
  const left = new Set(points.flatMap((one) => [`${one}.before`, `${one}.after`]));
  ownFaults((name) => (left.delete(name) ? Promise.reject(new FaultError(name)) : undefined));
  return left;
}

/** What the kubelet reports once the agent has killed the containers. */
export async function containersEnded(c: Cluster, name: string, phase: string): Promise<void> {
  const pod = await c.pod(name);
  if (!pod) return;
  const status = endedStatus(pod, { exitCode: 137, reason: 'Error' }, 'ContainersNotReady');
  await c.podStatus(name, { phase, ...status }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

/** What the kubelet reports of a pod whose containers have done their work. */
export async function completes(c: Cluster, name: string): Promise<void> {
  const pod = (await c.pod(name)) as Pod;
  const status = endedStatus(pod, { exitCode: 0, reason: 'Completed' }, 'PodCompleted');
  await c.podStatus(name, { phase: 'Succeeded', ...status });
}

const endedStatus = ({ spec }: Pod, terminated: object, reason: string): object => ({
  conditions: [{ type: 'Ready', status: 'False', reason }],
  containerStatuses: spec.containers.map((one) => ({
    ...{ name: one.name, ready: false, restartCount: 0, image: 'x', imageID: '' },
    state: { terminated },
  })),
});

/** Names of the pods that are there, in their order. */
export async function podsLeft(c: Cluster, app: string): Promise<string[]> {
  const { items } = await c.client.list(pods, { labelSelector: `app=${app}` });
  return items.map((one) => pods.parse(one).metadata.name).sort();
}

/** Up to `Committed`, as the agents would do it. @returns the target's name */
export async function committed(c: Cluster, request: string, podName: string): Promise<string> {
  const target = await prepared(c, request, podName);
  await c.source(migrationRequests, request, { state: 'Sent' });
  await c.target(migrationRequests, request, { state: 'AtResumeGate' });
  await c.commit(migrationRequests, request);
  await c.target(migrationRequests, request, { state: 'Answering' });
  return target;
}

/** A whole move. `ended` is the phase that the kubelet reports of a source that was killed. */
export async function move(
  c: Cluster,
  request: string,
  podName: string,
  phase = 'Running',
): Promise<string> {
  const target = await committed(c, request, podName);
  await c.source(migrationRequests, request, { state: 'Gone' });
  await containersEnded(c, podName, phase);
  await c.podRuns(target);
  await c.target(migrationRequests, request, { state: 'Running' });
  await c.until(migrationRequests, request, ended('Succeeded'));
  return target;
}

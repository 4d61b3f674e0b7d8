// SPDX-License-Identifier: Apache-2.0
// One pod and one move of the native part, from the pod's creation to its deletion.
import { setTimeout as sleep } from 'node:timers/promises';
import { isFinished, RUNTIME_CLASS, type MigrationRequest } from '../../crds/src/index.ts';
import { isNotFound, migrationRequests, pods, type Pod } from '../../kube/src/index.ts';
import type { NativeCluster, NodeName } from './nodes.ts';

const NAMESPACE = 'default';
const LIMIT_MS = 240_000;

export interface Gap {
  /** Microseconds since the epoch. */
  readonly from: number;
  readonly to: number;
}

/** What one move has taken. */
export interface Move {
  readonly request: MigrationRequest;
  /** In which the workload did not run. */
  readonly gap: Gap;
}

export class Moves {
  readonly #cluster: NativeCluster;
  #last = 0;

  constructor(cluster: NativeCluster) {
    this.#cluster = cluster;
  }

  /** A pod whose workload runs on node `a`. */
  async createPod(): Promise<Pod> {
    const name = `bench-${++this.#last}`;
    const { client } = this.#cluster;
    await client.create(pods, NAMESPACE, {
      metadata: { name, labels: { app: name } },
      spec: {
        nodeName: 'a',
        runtimeClassName: RUNTIME_CLASS,
        containers: [{ name: 'main', image: 'x' }],
        terminationGracePeriodSeconds: 0,
      },
    });
    const pod = await until(`pod ${name} runs`, async () => {
      const found = await client.get(pods, NAMESPACE, name);
      return found.status.phase === 'Running' ? found : undefined;
    });
    // It writes its file once its memory is written.
    await until(`the workload of ${name} counts`, () =>
      this.#gaps('a', pod).catch(() => undefined),
    );
    await sleep(200);
    return pod;
  }

  /** The time in which the workload stood still while runc alone checkpointed and restored it, in milliseconds. */
  async floor(pod: Pod): Promise<number> {
    await this.#cluster.nodes.a.call('floor', pod.metadata.uid);
    return lengthOf(await this.#newGap('a', pod));
  }

  /** Moves the pod from `a` to `b`. @throws Error if the move fails */
  async move(pod: Pod): Promise<Move> {
    const { name } = pod.metadata;
    const { client } = this.#cluster;
    await client.create(migrationRequests, NAMESPACE, {
      metadata: { name },
      spec: { podName: name, targetNodeName: 'b' },
    });
    const request = await until(`the move of ${name} ends`, async () => {
      const found = await client.get(migrationRequests, NAMESPACE, name);
      return isFinished(found) ? found : undefined;
    });
    const target = request.status?.target;
    if (request.status?.phase !== 'Succeeded' || target?.podName === undefined) {
      throw new Error(
        `The move has failed: ${JSON.stringify(request.status?.conditions)} ${JSON.stringify(request.status?.decision)}`,
      );
    }
    const moved = await client.get(pods, NAMESPACE, target.podName);
    return { request, gap: await this.#newGap('b', moved) };
  }

  /** Deletes the pod, or what it has become, and its request. */
  async remove({ metadata: { name } }: Pod): Promise<void> {
    const { client } = this.#cluster;
    await client.delete(migrationRequests, NAMESPACE, name);
    const { items } = await client.list(pods, { namespace: NAMESPACE });
    const left = items
      .map((item) => pods.parse(item))
      .filter((one) => one.metadata.labels['app'] === name);
    for (const one of left) await client.delete(pods, NAMESPACE, one.metadata.name);
    for (const one of left) {
      await until(`pod ${one.metadata.name} is gone`, () =>
        client.get(pods, NAMESPACE, one.metadata.name).then(
          () => undefined,
          (error: unknown) => isNotFound(error),
        ),
      );
    }
  }

  #gaps(node: NodeName, { metadata }: Pod): Promise<Gap[]> {
    return this.#cluster.nodes[node].call<Gap[]>('gaps', metadata.uid);
  }

  /** The longest. The workload reports it in its next millisecond. */
  #newGap(node: NodeName, pod: Pod): Promise<Gap> {
    return until('the workload reports its gap', async () => {
      const gaps = await this.#gaps(node, pod);
      return gaps.toSorted((one, other) => lengthOf(other) - lengthOf(one))[0];
    });
  }
}

/** In milliseconds. */
export const lengthOf = ({ from, to }: Gap): number => (to - from) / 1000;

/** @throws Error that names `what` after four minutes */
async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`Not within ${LIMIT_MS / 1000} s: ${what}.`);
    await sleep(30);
  }
}

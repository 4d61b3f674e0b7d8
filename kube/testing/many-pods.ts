// SPDX-License-Identifier: Apache-2.0
// A server with many large pods, and how much of them a client has in memory while it lists them.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Client } from '../src/client.ts';
import type { Query, Rest, RestRequest } from '../src/rest.ts';

const MiB = 2 ** 20;
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** That many pods of 8 KiB, and nothing else. None of them is one of Sealift's, unless `change` makes it one. */
export class ManyPods {
  readonly #count: number;
  readonly #change: (pod: ReturnType<typeof manyPod>, n: number) => object;
  readonly #start = heapUsed();
  #highest = 0;
  /** Of the lists of pods, page by page. */
  readonly queries: Query[] = [];

  constructor(
    count: number,
    change: (pod: ReturnType<typeof manyPod>, n: number) => object = (pod) => pod,
  ) {
    this.#count = count;
    this.#change = change;
  }

  get client(): Client {
    return new Client({ request: (request: RestRequest) => this.page(request) } as unknown as Rest);
  }

  /** What was on the heap at most before a page, more than at first; all pods have more than 8 KiB each. */
  get highestMiB(): number {
    return this.#highest / MiB;
  }

  page({ path, query = {} }: RestRequest): Promise<unknown> {
    if (!path.endsWith('/pods')) return Promise.resolve({ metadata: {}, items: [] });
    this.#highest = Math.max(this.#highest, heapUsed() - this.#start);
    this.queries.push(query);
    const from = Number(query['continue'] ?? 0);
    const to = Math.min(from + Number(query['limit']), this.#count);
    const items = Array.from({ length: to - from }, (_, index) =>
      this.#change(manyPod(from + index), from + index),
    );
    const next = to < this.#count ? { continue: String(to) } : {};
    const text = JSON.stringify({ metadata: { resourceVersion: '7', ...next }, items });
    return Promise.resolve(JSON.parse(text));
  }
}

/** As the API server has one. Its annotation is among what Sealift reads of a pod, its environment is not. */
export const manyPod = (n: number) => ({
  metadata: {
    ...{ name: `p${n}`, namespace: 'default', uid: `${n}`, resourceVersion: `${n}` },
    annotations: { read: `${n}${'x'.repeat(4000)}` },
  },
  spec: { containers: [{ name: 'main', env: [{ name: 'E', value: `${n}${'x'.repeat(4000)}` }] }] },
});

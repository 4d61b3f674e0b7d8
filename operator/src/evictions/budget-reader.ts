// SPDX-License-Identifier: Apache-2.0
// Reads the budgets that a pod is bound by, and what takes from them. A namespace may have more pods than this process has memory
// for: of pods only those stay that a request under way names.
import { selectorQuery } from '../../../crds/src/index.ts';
import {
  KeyedMutex,
  listParsed,
  migrationRequests,
  podDisruptionBudgets,
  pods,
  unlessNotFound,
  type Api,
  type Pod,
  type PodDisruptionBudget,
} from '../../../kube/src/index.ts';
import { budgetsOf, mayDisrupt, podsOf, see, type BudgetSeen } from './budgets.ts';
import type { Grants } from './grants.ts';

/** Lists of pods at a time. Each has a page in memory, and evictions of many namespaces may come at once. */
const listsAtOnce = 2;
/** So many are read one by one: a budget may be for every pod of a large namespace. A drain makes more requests than that. */
const fewPods = 16;

export class BudgetReader {
  readonly #api: Pick<Api, 'get' | 'list'>;
  readonly #grants: Pick<Grants, 'pending'>;
  readonly #turns = new KeyedMutex();
  #lists = 0;

  constructor(api: Pick<Api, 'get' | 'list'>, grants: Pick<Grants, 'pending'>) {
    this.#api = api;
    this.#grants = grants;
  }

  async of(pod: Pod, signal: AbortSignal): Promise<BudgetSeen[]> {
    const { namespace } = pod.metadata;
    const here = { namespace, signal };
    const isOwn = (one: PodDisruptionBudget): boolean => budgetsOf(pod, [one]).length > 0;
    const own = await listParsed(this.#api, podDisruptionBudgets, here, isOwn);
    if (own.length === 0) return [];
    const requests = await listParsed(this.#api, migrationRequests, here, mayDisrupt);
    const named = new Set(requests.flatMap(podsOf));
    const found = await Promise.all(own.map((one) => this.#podsOf(one, namespace, named, signal)));
    const granted = this.#grants.pending(namespace);
    return own.map((one, index) => see(one, { pods: found[index] ?? [], requests, granted }, pod));
  }

  /** Of the named pods those that exist, and that the budget may be for. */
  async #podsOf(
    { spec: { selector } }: PodDisruptionBudget,
    namespace: string,
    named: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<Pod[]> {
    if (!selector || named.size === 0) return [];
    if (named.size <= fewPods) {
      const found = [...named].map((name) =>
        unlessNotFound(this.#api.get(pods, namespace, name, { signal })),
      );
      return (await Promise.all(found)).filter((one) => one !== undefined);
    }
    const labelSelector = selectorQuery(selector);
    return this.#turns.run(`list ${this.#lists++ % listsAtOnce}`, () =>
      listParsed(this.#api, pods, { namespace, labelSelector, signal }, ({ metadata }) =>
        named.has(metadata.name),
      ),
    );
  }
}

// SPDX-License-Identifier: Apache-2.0
// Whether a pod is to be moved instead of evicted, as its annotation and the policies say. Pure.
import {
  annotations,
  policyFor,
  RUNTIME_CLASS,
  triggeredTtlSeconds,
  type MigrationPolicy,
  type UnmovableAction,
} from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';

/** A request that has failed has to be seen by the next eviction, which comes seconds later. */
const leastTtlSeconds = 60;

export interface Wish {
  /** Whether an eviction moves it. */
  readonly moves: boolean;
  /** What an eviction does if it cannot be moved. */
  readonly unmovable: UnmovableAction;
  /** Of the request that moves it. */
  readonly ttlSeconds: number;
  /** The policy that applies. */
  readonly policy: MigrationPolicy | undefined;
}

interface Selected {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
}

/** The pod's annotation counts more than a policy. */
export function wishFor(
  pod: Selected,
  namespace: { readonly labels: Readonly<Record<string, string>> },
  policies: readonly MigrationPolicy[],
): Wish {
  const policy = policyFor(policies, pod, namespace);
  const own = pod.metadata.annotations[annotations.eviction];
  // A drain cordons its node first, and evicts a moment later: a policy that empties cordoned nodes means those pods too.
  const byPolicy =
    policy?.spec.eviction.action === 'Migrate' || policy?.spec.nodes?.cordoned === true;
  return {
    moves: own === 'migrate' || (byPolicy && own !== 'evict'),
    unmovable: policy?.spec.eviction.unmovable ?? 'Keep',
    ttlSeconds: Math.max(
      policy?.spec.ttlSecondsAfterFinished ?? triggeredTtlSeconds,
      leastTtlSeconds,
    ),
    policy,
  };
}

/** Whether the pod runs in Sealift's runtime, and has anything to lose. */
export const runsInSealift = ({ spec, status, metadata }: Pod): boolean =>
  spec.runtimeClassName === RUNTIME_CLASS &&
  status.phase === 'Running' &&
  metadata.deletionTimestamp === undefined;

// SPDX-License-Identifier: Apache-2.0
// What every write of a pod has in common: a pod that is gone is left alone, and a condition of ours stands beside the kubelet's.
import { fieldManagers } from '../../../crds/src/index.ts';
import {
  pods,
  timestamp,
  unlessNotFound,
  type Context,
  type Pod,
} from '../../../kube/src/index.ts';
import type { Dependencies } from './dependencies.ts';

interface PodCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/** The kubelet owns the other conditions. The version of `pod` keeps the write away from another pod of that name. */
export async function setPodCondition(
  { api, clock }: Pick<Dependencies, 'api' | 'clock'>,
  pod: Pod,
  condition: PodCondition,
  { signal }: Context,
): Promise<void> {
  const status = { conditions: [{ ...condition, lastTransitionTime: timestamp(clock.now()) }] };
  const options = { manager: fieldManagers.operator, subresource: 'status', exact: true } as const;
  await unlessNotFound(api.apply(pods, pod, { status }, { ...options, signal }));
}

// SPDX-License-Identifier: Apache-2.0
// Whether a pod is a target whose request was committed. Pure.
import { podConditions } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';

/** The operator writes it after the decision, for ever. No user may write a pod's conditions. */
export const isCommitted = ({ status }: Pod): boolean =>
  status.conditions.some((one) => one.type === podConditions.committed && one.status === 'True');

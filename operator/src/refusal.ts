// SPDX-License-Identifier: Apache-2.0
// The refusal of a request: the type that every rule of the operator returns.
import type { ReasonName } from '../../crds/src/index.ts';

/** Why a request cannot be accepted; the message says what to do about it. */
export interface Refusal {
  readonly reason: ReasonName;
  readonly message: string;
}

/** Of a rule that returns something else if it does not refuse. */
export const isRefusal = (found: object): found is Refusal => 'reason' in found;

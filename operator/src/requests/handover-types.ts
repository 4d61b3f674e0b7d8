// SPDX-License-Identifier: Apache-2.0
// What MigrationRequests and RestoreRequests have in common: both create a target pod and end in a decision.
import type {
  Deadlines,
  MigrationRequest,
  Placement,
  Report,
  RestoreConditionType,
  RestoreRequest,
  TargetPlacement,
  TriedNode,
} from '../../../crds/src/index.ts';
import type { Node, Pod } from '../../../kube/src/index.ts';
import type { Finished } from './finished.ts';
import type { DraftStatus } from './status-draft.ts';

export type HandoverRequest = MigrationRequest | RestoreRequest;

/** Conditions of both kinds; a MigrationRequest has further ones. */
export type HandoverCondition = RestoreConditionType;

export interface HandoverObserved {
  readonly request: HandoverRequest;
  /** The pod that has the target's name, whoever created it. */
  readonly targetPod: Pod | undefined;
  /** For how long the operator has seen that the scheduler finds no node for that pod. */
  readonly unschedulableMs: number;
  readonly nodes: readonly Node[];
  /** Undefined while the request is active. */
  readonly finished: Finished | undefined;
  /** When the operator began to read all this from the API server, by its own clock; absent: watches have brought it. */
  readonly readAt?: number | undefined;
}

/** Fields of the status that the operator owns in both kinds. */
export interface HandoverStatus extends DraftStatus {
  source?: Placement | undefined;
  target?: TargetPlacement | undefined;
  triedNodes?: TriedNode[] | undefined;
  deadlines?: Deadlines | undefined;
  report?: Report | undefined;
}

/** Effects of both kinds; `target-effects.ts` carries them out. */
export type HandoverEffect =
  | { readonly type: 'AddFinalizer' | 'RemoveFinalizer' | 'DeleteRequest' }
  | { readonly type: 'AllowTraffic' | 'ReleaseTarget' }
  | { readonly type: 'DeleteTarget'; readonly uid: string; readonly force: boolean }
  | { readonly type: 'ProposeAbort'; readonly reason: string; readonly message: string };

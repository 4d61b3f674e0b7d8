// SPDX-License-Identifier: Apache-2.0
import type {
  CheckpointRequest,
  MigrationConditionType,
  MigrationRequest,
  MigrationRequestStatus,
  RestoreRequest,
} from '../../../crds/src/index.ts';
import type { Node, Plan, Pod } from '../../../kube/src/index.ts';
import type { ConditionProgress } from '../requests/condition-progress.ts';

/** All that a decision is made from. Requests and pods are read fresh, nodes come from the cache. */
export interface Observed {
  readonly request: MigrationRequest;
  /** The pod of spec.podName, whichever it is now. */
  readonly sourcePod: Pod | undefined;
  /** The pod that has the target's name, if the name is known. */
  readonly targetPod: Pod | undefined;
  /** Other requests for the same pod; read only before the request is validated. */
  readonly others: readonly (MigrationRequest | CheckpointRequest)[];
  /** Of the pod's name; read only when a source that was lost is to be restored. */
  readonly checkpoints: readonly CheckpointRequest[];
  /** The request that restores it, once it was made. */
  readonly restore: RestoreRequest | undefined;
  readonly nodes: readonly Node[];
  /** Pods of Sealift's runtime class on a node. */
  readonly load: ReadonlyMap<string, number>;
}

export type Effect =
  | { readonly type: 'AddFinalizer' | 'RemoveFinalizer' }
  | { readonly type: 'CreateTarget'; readonly nodeName: string; readonly podName: string }
  | { readonly type: 'LabelTarget' | 'DetachTarget' }
  | { readonly type: 'DeleteSource' | 'DeleteLostSource'; readonly uid: string }
  | {
      readonly type: 'CreateRestoreRequest';
      readonly name: string;
      readonly checkpointName: string;
    }
  | { readonly type: 'DeleteTarget'; readonly uid: string; readonly force: boolean }
  | { readonly type: 'ProposeAbort'; readonly reason: string; readonly message: string };

/** The fields of the status that the operator owns. */
export const ownedStatus = [
  'observedGeneration',
  'phase',
  'startTime',
  'completionTime',
  'conditions',
  'source',
  'target',
  'peers',
  'deadlines',
  'recovery',
  'report',
] as const;
export type OwnStatus = Pick<MigrationRequestStatus, (typeof ownedStatus)[number]>;

export type MigrationPlan = Plan<Effect, OwnStatus>;
export type MigrationProgress = ConditionProgress<MigrationConditionType>;

// SPDX-License-Identifier: Apache-2.0
import type {
  CheckpointRequest,
  RestoreRequest,
  RestoreRequestStatus,
} from '../../../crds/src/index.ts';
import type { Node, Plan, Pod } from '../../../kube/src/index.ts';
import type { Refusal } from '../requests/refusal.ts';

/** By what a restored pod is known. */
export interface PodIdentity {
  /** Value of the networks annotation; absent: no further networks. */
  readonly networks?: string;
  /** Whether it can have the RDMA device's old name. */
  readonly keepsDevice: boolean;
}

export interface Observed {
  readonly request: RestoreRequest;
  readonly checkpoint: CheckpointRequest | undefined;
  /** The pod that has the new pod's name. */
  readonly pod: Pod | undefined;
  readonly podName: string;
  readonly nodes: readonly Node[];
  readonly load: ReadonlyMap<string, number>;
  /** What the new pod asks for; read while it does not exist. */
  readonly identity: PodIdentity | Refusal;
}

export type Effect =
  | { readonly type: 'AddFinalizer' | 'RemoveFinalizer' | 'LabelPod' | 'DetachPod' }
  | {
      readonly type: 'CreatePod';
      readonly nodeName: string;
      readonly identity: PodIdentity;
    }
  | { readonly type: 'DeletePod'; readonly uid: string; readonly force: boolean }
  | { readonly type: 'ProposeAbort'; readonly reason: string; readonly message: string };

export const ownedStatus = [
  'observedGeneration',
  'phase',
  'startTime',
  'completionTime',
  'conditions',
  'checkpointId',
  'digest',
  'source',
  'target',
  'deadlines',
  'report',
] as const;
export type OwnStatus = Pick<RestoreRequestStatus, (typeof ownedStatus)[number]>;
export type RestorePlan = Plan<Effect, OwnStatus>;

// SPDX-License-Identifier: Apache-2.0
// What the CheckpointRequest controller decides from, its effects, and its fields of the status.
import type {
  CheckpointConditionType,
  CheckpointRequest,
  CheckpointRequestStatus,
} from '../../../crds/src/index.ts';
import type { Node, Plan, Pod } from '../../../kube/src/index.ts';
import type { CompetingRequest } from '../requests/competing-requests.ts';
import type { Finished } from '../requests/finished.ts';
import type { Refusal } from '../refusal.ts';
import type { StatusDraft } from '../requests/status-draft.ts';
import type { Template } from '../target-pod/manifest.ts';
import type { VolumeFacts } from '../target-pod/volume-rules.ts';

export interface Observed {
  readonly request: CheckpointRequest;
  readonly pod: Pod | undefined;
  /** By the clock of the pod's node, in milliseconds since the epoch; undefined: not known. */
  readonly nodeTime: number | undefined;
  /** Of the pod's volumes; read only before the request is accepted. */
  readonly volumes?: VolumeFacts | undefined;
  /** Read only before the request is accepted. */
  readonly template: Template | Refusal | undefined;
  /** Other requests for the same pod; read only before the request is accepted. */
  readonly others: readonly CompetingRequest[];
  readonly nodes: readonly Node[];
  /** Undefined while the request is active. */
  readonly finished: Finished | undefined;
  /** Whether a RestoreRequest reads the images; known only once the request has finished. */
  readonly inUse: boolean;
  /** Checkpoints of the same pod that have succeeded since; known only once the request has finished. */
  readonly newer: number;
}

export type Effect =
  { readonly type: 'AddFinalizer' | 'RemoveFinalizer' } | { readonly type: 'DeleteRequest' };

/** The fields of the status that the operator owns. */
export const ownedStatus = [
  'observedGeneration',
  'phase',
  'startTime',
  'completionTime',
  'finishedSeen',
  'deadline',
  'cpuFeatures',
  'conditions',
  'nodeName',
  'podUID',
  'checkpointId',
  'podTemplate',
  'location',
  'digest',
  'bytes',
  'size',
] as const;
export type OwnStatus = Pick<CheckpointRequestStatus, (typeof ownedStatus)[number]>;

export type CheckpointPlan = Plan<Effect, OwnStatus>;
export type CheckpointDraft = StatusDraft<CheckpointConditionType, OwnStatus, Effect>;

// SPDX-License-Identifier: Apache-2.0
// What the RestoreRequest controller decides from, its effects, and its fields of the status.
import type {
  CheckpointRequest,
  RestoreConditionType,
  RestoreRequest,
  RestoreRequestStatus,
} from '../../../crds/src/index.ts';
import type { Plan } from '../../../kube/src/index.ts';
import type { MemorySeen } from '../nodes/memory-seen.ts';
import type { HandoverDraft } from '../requests/handover-draft.ts';
import type { HandoverEffect, HandoverObserved } from '../requests/handover-types.ts';
import type { Refusal } from '../refusal.ts';

/** What a restored pod keeps of the checkpointed pod's identity. */
export interface PodIdentity {
  /** Value of the networks annotation; absent: no further networks. */
  readonly networks?: string;
  /** Whether the RDMA device can have its old name. */
  readonly keepsDevice: boolean;
}

export interface Observed extends HandoverObserved {
  readonly request: RestoreRequest;
  readonly checkpoint: CheckpointRequest | undefined;
  /** The target's name. */
  readonly podName: string;
  /** Migrations that arrive at a node. */
  readonly load: ReadonlyMap<string, number>;
  /** Of the nodes; absent: nobody says. */
  readonly memory?: MemorySeen | undefined;
  /** What the target is created with; read while it does not exist. */
  readonly identity: PodIdentity | Refusal;
}

type OwnEffect = {
  readonly type: 'CreateTarget';
  /** The scheduler chooses among them. */
  readonly nodeNames: readonly string[];
  readonly identity: PodIdentity;
};
export type Effect = HandoverEffect | OwnEffect;

/** The fields of the status that the operator owns. */
export const ownedStatus = [
  'observedGeneration',
  'phase',
  'startTime',
  'completionTime',
  'finishedSeen',
  'conditions',
  'checkpointId',
  'digest',
  'source',
  'target',
  'triedNodes',
  'deadlines',
  'report',
] as const;
export type OwnStatus = Pick<RestoreRequestStatus, (typeof ownedStatus)[number]>;

export type RestorePlan = Plan<Effect, OwnStatus>;
export type RestoreDraft = HandoverDraft<RestoreConditionType, OwnStatus, Effect>;

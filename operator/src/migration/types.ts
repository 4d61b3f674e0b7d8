// SPDX-License-Identifier: Apache-2.0
// What the MigrationRequest controller decides from, its effects, and its fields of the status.
import type {
  CheckpointRequest,
  MigrationConditionType,
  MigrationPolicy,
  MigrationRequest,
  MigrationRequestStatus,
  RestoreRequest,
  SecondMove,
} from '../../../crds/src/index.ts';
import type { Plan, Pod } from '../../../kube/src/index.ts';
import type { MovesSeen } from '../moves/limits.ts';
import type { MemorySeen } from '../nodes/memory-seen.ts';
import type { CompetingRequest } from '../requests/competing-requests.ts';
import type { Finished } from '../requests/finished.ts';
import type { HandoverDraft } from '../requests/handover-draft.ts';
import type { HandoverEffect, HandoverObserved } from '../requests/handover-types.ts';
import type { VolumeFacts } from '../target-pod/volume-rules.ts';

/** All that a decision is made from. Requests and pods are read fresh, nodes come from the cache. */
export interface Observed extends HandoverObserved {
  readonly request: MigrationRequest;
  /** The pod of spec.podName, whichever it is now. */
  readonly sourcePod: Pod | undefined;
  /** By the clock of that pod's node, in milliseconds since the epoch; undefined: not known. */
  readonly nodeTime: number | undefined;
  /** Of the pod's volumes; read only before the request is accepted. */
  readonly volumes?: VolumeFacts | undefined;
  /** Configurations of the pod's further networks, by `namespace/name`; read only before the request is accepted. */
  readonly networks?: ReadonlyMap<string, string> | undefined;
  /** Names of Services that would lead to a target early; read only before a dry run begins. */
  readonly earlyServices?: readonly string[] | undefined;
  /** What the API server would make of the target; read only before a dry run begins. */
  readonly targetTrial?: TargetTrial | undefined;
  /** Other requests for the same pod; read only before the request is accepted. */
  readonly others: readonly CompetingRequest[];
  /** Of the pod's name; read only when a lost source is to be restored. */
  readonly checkpoints: readonly CheckpointRequest[];
  /** The RestoreRequest of `status.recovery`, once it exists. */
  readonly restore: RestoreRequest | undefined;
  /** Of the source's controller; undefined: it was not read, or its kind is not known. */
  readonly controller: ControllerState | undefined;
  /** Of a request for a landing pod: the request that made it; read before the request is accepted, and after its decision. */
  readonly firstMove?: MigrationRequest | undefined;
  /** Of a landing pod that lands once more: the pod of the name that it stands in for, whichever it is now. */
  readonly namedPod?: Pod | undefined;
  /** The request of `status.secondMove`, once it exists. */
  readonly secondMove?: MigrationRequest | undefined;
  /** Of that request; undefined while it is active. */
  readonly secondFinished?: Finished | undefined;
  /** `reserved`, or why the source's name is not; undefined: it was not tried. */
  readonly nameTrial?: string | undefined;
  /** The policy that applies to the pod now; read only as long as a node may have to be found. */
  readonly policy: MigrationPolicy | undefined;
  /** Other migrations: under way, and waiting before this one. */
  readonly moves: MovesSeen;
  /** Of the nodes; absent: nobody says. */
  readonly memory?: MemorySeen | undefined;
  /** Migrations that arrive at a node. */
  readonly load: ReadonlyMap<string, number>;
}

/** The target as the API server would have it, why it would not take it, or why it could not be asked. */
export type TargetTrial =
  | { readonly target: Pod; readonly rejection?: undefined; readonly untried?: undefined }
  | { readonly target?: undefined; readonly rejection: string; readonly untried?: undefined }
  | { readonly target?: undefined; readonly rejection?: undefined; readonly untried: string };

/**
 * `finished` is a Job that starts no more pods; `deleted` is one that was deleted, or is being, with its pods; `orphaning` one that
 * leaves its pods behind; `gone` is one that was deleted, or is being, and nobody can tell yet which of the two it did.
 */
export type ControllerState = 'active' | 'finished' | 'orphaning' | 'deleted' | 'gone';

/** Puts a pod into its controller's place, or takes it out. */
export type ControllerEffect =
  | { readonly type: 'AttachTarget' | 'DetachTarget' }
  | { readonly type: 'RetireSource' | 'AttachSource' | 'DetachSource'; readonly uid: string }
  | { readonly type: 'EndSource'; readonly uid: string };

type OwnEffect =
  | ControllerEffect
  | {
      readonly type: 'CreateTarget';
      /** The scheduler chooses among them. */
      readonly nodeNames: readonly string[];
      readonly podName: string;
      /** Those of the source that it keeps. */
      readonly addresses?: readonly string[];
    }
  | { readonly type: 'DeleteSource' | 'DeleteLostSource' | 'DeleteLanding'; readonly uid: string }
  | { readonly type: 'ReleaseLanding'; readonly uid: string }
  | ({ readonly type: 'CreateSecondMove' } & SecondMove)
  | {
      readonly type: 'CreateRestoreRequest';
      readonly name: string;
      readonly checkpointName: string;
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
  'policy',
  'queue',
  'inspection',
  'source',
  'target',
  'secondMove',
  'triedNodes',
  'peers',
  'deadlines',
  'recovery',
  'report',
] as const;
export type OwnStatus = Pick<MigrationRequestStatus, (typeof ownedStatus)[number]>;

export type MigrationPlan = Plan<Effect, OwnStatus>;
export type MigrationDraft = HandoverDraft<MigrationConditionType, OwnStatus, Effect>;

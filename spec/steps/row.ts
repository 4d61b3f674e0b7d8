// SPDX-License-Identifier: Apache-2.0
// One row of the protocol's table: a step, who does it, and what it is called everywhere. Each column has the code's own
// type, so that a name that the code does not have is a type error.
import type {
  CheckpointConditionType,
  CheckpointRequestStatus,
  CheckpointState,
  MigrationConditionType,
  MigrationPhase,
  OccasionalConditionType,
  Outcome,
  ReasonName,
  RestoreConditionType,
  RestoreRequestStatus,
  SourceState,
  StepName,
  TargetState,
} from '../../crds/src/index.ts';
import type {
  CheckpointEffect,
  CheckpointObserved,
} from '../../node-agent/src/reconcilers/checkpoint/decide.ts';
import type {
  ImageSenderEffect,
  ImageSenderObserved,
} from '../../node-agent/src/reconcilers/image-sender/reconciler.ts';
import type {
  SourceEffect,
  SourceObserved,
} from '../../node-agent/src/reconcilers/source/decide.ts';
import type {
  TargetEffect,
  TargetObserved,
} from '../../node-agent/src/reconcilers/target/decide.ts';
import type { AgentCode } from '../../node-agent/src/support/errors.ts';
import type { Stage } from '../../node-agent/src/support/journal/journal.ts';
import type { Effect as CheckpointOperatorEffect } from '../../operator/src/checkpoint/types.ts';
import type { Effect as MigrationOperatorEffect } from '../../operator/src/migration/types.ts';
import type { Effect as RestoreOperatorEffect } from '../../operator/src/restore/types.ts';

/** What differs between the three kinds of request. */
export interface Kinds {
  MigrationRequest: {
    condition: MigrationConditionType;
    phase: MigrationPhase;
    operatorEffect: MigrationOperatorEffect['type'];
  };
  RestoreRequest: {
    condition: RestoreConditionType;
    phase: NonNullable<RestoreRequestStatus['phase']>;
    operatorEffect: RestoreOperatorEffect['type'];
  };
  CheckpointRequest: {
    condition: CheckpointConditionType | OccasionalConditionType;
    phase: NonNullable<CheckpointRequestStatus['phase']>;
    operatorEffect: CheckpointOperatorEffect['type'];
  };
}
export type Kind = keyof Kinds;

export type AnyEffect =
  | SourceEffect['type']
  | TargetEffect['type']
  | CheckpointEffect['type']
  | ImageSenderEffect['type']
  | Kinds[Kind]['operatorEffect'];

/** What the operator and the other agent have written when the step is decided on. */
export interface Given {
  readonly source?: SourceState;
  readonly target?: TargetState;
  readonly checkpoint?: CheckpointState;
  readonly decision?: readonly [Outcome, ReasonName];
  /** `spec.cancel` is set; a RestoreRequest has none and is deleted. */
  readonly cancel?: true;
  /** `spec.dryRun` is set. */
  readonly dryRun?: true;
  /** The request has ended: status and reason of its condition Succeeded. */
  readonly finished?: readonly ['True' | 'False', ReasonName];
  /** Absent: the request has been accepted. `invalid`: it is new, and what it names does not exist. */
  readonly request?: 'new' | 'invalid' | 'deleted' | 'without finalizer';
  /** As many moves are under way as there may be. */
  readonly moves?: 'at the limit';
  /**
   * Absent: it exists, marked as a target. `allowed`: Services may select it, and `ready`: they do.
   * `unschedulable`: the scheduler has found no room for it.
   */
  readonly targetPod?: 'absent' | 'allowed' | 'ready' | 'unschedulable';
  /** Absent: the target's node is the first one. `given up`: it is in status.triedNodes. `next`: it replaces one of those. */
  readonly targetNode?: 'given up' | 'next';
  /** The nodes say how much memory they have. `enough`: it is known of the pod, and they have it; `lacking`: they do not. */
  readonly memory?: 'not known yet' | 'enough' | 'lacking';
  /** The target's agent has found too little for the pod. */
  readonly targetRefuses?: true;
  /** Absent: it runs. */
  readonly sourcePod?: 'absent';
  /** Only with `ByName`: the target is the one of the second move. */
  readonly standsIn?: true;
  /** No node but the target's, or the landing pod's, can take it. */
  readonly noOtherNode?: true;
  /** The source has a controller, which asks for this handover (docs/adr/0019); absent: it has none. */
  readonly controller?: 'AfterResume' | 'BeforeHold' | 'ByName';
  /** Who belongs to that controller; absent: the source. `retired`: the source, and it is marked as the one to delete. */
  readonly member?: 'retired' | 'both' | 'target';
  /** It is a Job that has finished. */
  readonly controllerFinished?: true;
  /** The operator has looked once more at the containers that were resumed. */
  readonly lastLook?: true;
  /** `spec.ttlSecondsAfterFinished`, or `spec.retention` of a checkpoint, has passed. */
  readonly expired?: true;
  /** `spec.onSourceLoss` is `RestoreNewestCheckpoint`, and there is a checkpoint. */
  readonly recovery?: 'asked' | 'begun';
  /** The condition Restorable is there; absent: it is not. */
  readonly restorable?: 'False';
  /**
   * Of the node that stores the images; absent: it is at work. `fails`: it says that it cannot remove them. `for long`: the operator
   * waits no longer.
   */
  readonly imageAgent?: 'missing' | 'missing for long' | 'fails' | 'fails for long';
}

/** One value, or what it is while the step runs and after it. */
type During<T> = T | readonly [T, T];

interface Columns<K extends Kind> {
  /** What happens. */
  readonly step: string;
  readonly given?: Given;
  /** What the operator shows when it has read the agents' states: type, status, reason. */
  readonly condition?: readonly [
    Kinds[K]['condition'],
    'True' | 'False' | 'Unknown',
    ReasonName | AgentCode,
  ];
  readonly phase?: Kinds[K]['phase'];
  /** Steps of `status.report` that it is timed as. */
  readonly report?: readonly StepName[];
  /** In docs/faults.md. */
  readonly faults?: readonly `${string}.${string}`[];
  /** Labels of transitions in spec/handover.pml. */
  readonly model?: readonly `${string}.${string}`[];
  /** Absent: nothing undoes it, or nothing has to. */
  readonly undoneBy?: AnyEffect;
}

interface AgentColumns<Observed, State> {
  /** What the journal has when the step is decided on; absent: the first of `stage`. */
  readonly found?: Stage | 'none';
  /** What the agent writes to its journal before the effect, and after it. */
  readonly stage?: During<Stage>;
  /** What it publishes while the effect runs, and after it. */
  readonly state: During<State>;
  /** What else the agent has to observe to decide on this step. */
  readonly observed?: Partial<Observed>;
}

interface OperatorStep<K extends Kind> extends Columns<K> {
  readonly by: 'operator';
  readonly effect?: Kinds[K]['operatorEffect'];
}
interface SourceStep<K extends Kind> extends Columns<K>, AgentColumns<SourceObserved, SourceState> {
  readonly by: 'source agent';
  readonly effect?: SourceEffect['type'];
}
interface TargetStep<K extends Kind> extends Columns<K>, AgentColumns<TargetObserved, TargetState> {
  readonly by: 'target agent';
  readonly effect?: TargetEffect['type'];
}
interface SenderStep<K extends Kind>
  extends Columns<K>, AgentColumns<ImageSenderObserved, SourceState> {
  readonly by: 'image sender';
  readonly effect?: ImageSenderEffect['type'];
}
interface CheckpointStep<K extends Kind>
  extends Columns<K>, AgentColumns<CheckpointObserved, CheckpointState> {
  readonly by: 'checkpoint agent';
  readonly effect?: CheckpointEffect['type'];
}

interface Steps {
  MigrationRequest:
    | OperatorStep<'MigrationRequest'>
    | SourceStep<'MigrationRequest'>
    | TargetStep<'MigrationRequest'>;
  RestoreRequest:
    OperatorStep<'RestoreRequest'> | SenderStep<'RestoreRequest'> | TargetStep<'RestoreRequest'>;
  CheckpointRequest: OperatorStep<'CheckpointRequest'> | CheckpointStep<'CheckpointRequest'>;
}
export type Row<K extends Kind = Kind> = Steps[K];

/** A column that may have two values, as a list. */
export const both = <T>(value: During<T> | undefined): readonly T[] =>
  value === undefined ? [] : Array.isArray(value) ? (value as readonly T[]) : [value as T];

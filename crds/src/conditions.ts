// SPDX-License-Identifier: Apache-2.0
// Conditions. Only the operator writes them. `Succeeded` is the summary; it is Unknown while the request is active. `Failed` is
// its opposite, so that `kubectl wait` can wait for either.
import { z } from 'zod';
import { Count, Message, Reason, Timestamp } from './atoms.ts';

export const ConditionStatus = z.enum(['True', 'False', 'Unknown']);
export type ConditionStatus = z.infer<typeof ConditionStatus>;

export const Condition = z
  .object({
    type: z.string().max(64).meta({ description: 'The aspect, as CamelCase word.' }),
    status: ConditionStatus.meta({ description: 'True, False, or Unknown while it is open.' }),
    observedGeneration: Count.optional().meta({
      description: 'The metadata.generation that the condition speaks of.',
    }),
    lastTransitionTime: Timestamp.meta({
      format: 'date-time',
      description: 'When the status last changed.',
    }),
    reason: Reason.regex(/^[A-Z][A-Za-z0-9]*$/).meta({
      description: 'Why, as one CamelCase word for programs.',
    }),
    message: Message.meta({ description: 'Why, and what to do, as sentences for people.' }),
  })
  .meta({ description: 'One aspect of the progress, as in metav1.Condition.' });
export type Condition = z.infer<typeof Condition>;

export const Conditions = z
  .array(Condition)
  .max(16)
  .meta({
    description:
      'Progress of the request. Succeeded is the summary; it is Unknown while the request is active. Failed is its opposite.',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  });

/** Condition types per kind, in the order in which they turn True; `Failed` is True where `Succeeded` is False. */
export const conditionTypes = {
  MigrationRequest: [
    'Validated',
    'TargetReady',
    'Quiesced',
    'Checkpointed',
    'Restored',
    'Committed',
    'Failed',
    'Succeeded',
  ],
  CheckpointRequest: ['Validated', 'Quiesced', 'Checkpointed', 'Failed', 'Succeeded'],
  RestoreRequest: ['Validated', 'TargetReady', 'Restored', 'Committed', 'Failed', 'Succeeded'],
} as const;
/** Of a MigrationRequest with spec.dryRun: it reaches nothing else. */
export const dryRunConditionTypes = ['Validated', 'Failed', 'Succeeded'] as const;
/** Of a CheckpointRequest that is being deleted: whether the node's agent has removed the images. Other requests do not have it. */
export const imagesRemoved = 'ImagesRemoved';
/** Of a CheckpointRequest that has succeeded: False while its images cannot be read, with the agent's reason. Absent otherwise. */
export const restorable = 'Restorable';
/** Condition types that a request has only while there is something to say; the others are there from the start. */
export const occasionalConditionTypes = {
  MigrationRequest: [],
  CheckpointRequest: [imagesRemoved, restorable],
  RestoreRequest: [],
} as const satisfies Record<keyof typeof conditionTypes, readonly string[]>;
export type MigrationConditionType = (typeof conditionTypes.MigrationRequest)[number];
export type CheckpointConditionType = (typeof conditionTypes.CheckpointRequest)[number];
export type RestoreConditionType = (typeof conditionTypes.RestoreRequest)[number];
export type OccasionalConditionType =
  (typeof occasionalConditionTypes)[keyof typeof occasionalConditionTypes][number];

interface WithConditions {
  readonly status?:
    { readonly conditions?: readonly Readonly<Condition>[] | undefined } | undefined;
}

/** The summary condition; undefined for a request that the operator has not seen yet. */
export const summaryOf = ({ status }: WithConditions): Readonly<Condition> | undefined =>
  status?.conditions?.find((one) => one.type === 'Succeeded');

/** Of `Succeeded`, while a landing pod waits for a node. */
export const waitsForNodeReason = 'NoNodeForName';

/**
 * Whether the request's landing pod serves, and waits for a node to which, or by way of which, it gets its name: perhaps for days
 * (docs/adr/0044).
 */
export const waitsForNode = (object: WithConditions): boolean =>
  !isFinished(object) && summaryOf(object)?.reason === waitsForNodeReason;

/** Whether the summary condition says how the request ended. */
export function isFinished(object: WithConditions): boolean {
  return (summaryOf(object)?.status ?? 'Unknown') !== 'Unknown';
}

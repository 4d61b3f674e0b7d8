// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import { CheckpointAgent } from './agents.ts';
import { Count, DnsName, ObjectMeta, Timestamp, Uid } from './atoms.ts';
import { Conditions } from './conditions.ts';
import { API_VERSION } from './names.ts';
import { Bytes } from './steps.ts';

export const CheckpointRequestSpec = z
  .object({
    podName: DnsName.meta({ description: 'The pod to checkpoint, in the request’s namespace.' }),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(100)
      .meta({ format: 'int32', description: 'How long may it take?' }),
    ttlSecondsAfterFinished: Count.optional().meta({
      description:
        'Delete the request, and its images with it, that long after it has finished. Absent: keep both.',
    }),
    retention: z
      .object({
        ttlSeconds: Count.optional().meta({
          description: 'Delete request and images that long after completion. Absent: keep.',
        }),
        keepLast: z
          .int()
          .min(1)
          .max(1000)
          .optional()
          .meta({
            format: 'int32',
            description:
              'Delete request and images once that many newer checkpoints of the same pod have succeeded. ' +
              'Absent: keep.',
          }),
      })
      .optional(),
  })
  .meta({
    description: 'What to checkpoint. The pod is left running. Immutable.',
    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'spec is immutable' }],
  });
export type CheckpointRequestSpec = z.infer<typeof CheckpointRequestSpec>;

export const CheckpointPhase = z.enum(['Pending', 'Checkpointing', 'Succeeded', 'Failed']);

/** A pod's metadata (labels, annotations) and spec, ready to be created again. */
export const PodTemplate = z.looseObject({
  metadata: z
    .looseObject({
      labels: z.record(z.string(), z.string()).optional(),
      annotations: z.record(z.string(), z.string()).optional(),
    })
    .optional()
    .meta({ 'x-kubernetes-preserve-unknown-fields': true }),
  spec: z
    .record(z.string(), z.unknown())
    .meta({ 'x-kubernetes-preserve-unknown-fields': true, type: 'object' }),
});
export type PodTemplate = z.infer<typeof PodTemplate>;

export const CheckpointRequestStatus = z.object({
  observedGeneration: Count.optional(),
  phase: CheckpointPhase.optional().meta({
    description: 'For people, derived from the rest. Programs read conditions.',
  }),
  startTime: Timestamp.optional(),
  completionTime: Timestamp.optional(),
  deadline: Timestamp.optional().meta({
    format: 'date-time',
    description: 'When the agent gives up and lets the pod go on.',
  }),
  conditions: Conditions.optional(),
  nodeName: z
    .string()
    .max(253)
    .optional()
    .meta({ description: 'The node that has the pod and keeps the images.' }),
  podUID: Uid.optional(),
  checkpointId: Uid.optional().meta({ description: 'Folder name of the images on the node.' }),
  podTemplate: PodTemplate.optional().meta({
    description: 'The pod as it was, for a RestoreRequest.',
    'x-kubernetes-preserve-unknown-fields': true,
  }),
  location: z.string().max(1400).optional().meta({ description: '<node>:<folder>' }),
  digest: z.string().max(128).optional(),
  bytes: Bytes.optional(),
  size: Count.optional().meta({ description: 'Bytes on the node’s disk, all files together.' }),
  agent: CheckpointAgent.optional(),
});
export type CheckpointRequestStatus = z.infer<typeof CheckpointRequestStatus>;

/** Whether a checkpoint has images that a pod can be made of. */
export function isStored({ status, metadata }: CheckpointRequest): boolean {
  const good = status?.conditions?.some((one) => one.type === 'Succeeded' && one.status === 'True');
  return good === true && metadata.deletionTimestamp === undefined;
}

export const CheckpointRequest = z.object({
  apiVersion: z.literal(API_VERSION).default(API_VERSION),
  kind: z.literal('CheckpointRequest').default('CheckpointRequest'),
  metadata: ObjectMeta,
  spec: CheckpointRequestSpec,
  status: CheckpointRequestStatus.optional(),
});
export type CheckpointRequest = z.infer<typeof CheckpointRequest>;

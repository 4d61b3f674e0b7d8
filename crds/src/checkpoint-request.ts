// SPDX-License-Identifier: Apache-2.0
// The schema of CheckpointRequests: spec, status, and the pod template that a restore starts from.
import { z } from 'zod';
import { CheckpointAgent } from './agents.ts';
import { Count, commonStatus, DnsName, ObjectMeta, Timestamp, Uid } from './atoms.ts';
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
      .meta({ format: 'int32', description: 'How many seconds the checkpoint may take.' }),
    ttlSecondsAfterFinished: Count.optional().meta({
      description:
        'The operator deletes the request, and with it the images, that many seconds after it has finished. Absent: it keeps both.',
    }),
    retention: z
      .object({
        ttlSeconds: Count.optional().meta({
          description:
            'The operator deletes request and images this many seconds after completion. Absent: it keeps them.',
        }),
        keepLast: z
          .int()
          .min(1)
          .max(1000)
          .optional()
          .meta({
            format: 'int32',
            description:
              'The operator deletes request and images once this many newer checkpoints of the same pod have succeeded. ' +
              'Absent: it keeps them.',
          }),
      })
      .optional()
      .meta({
        description: 'When the operator deletes the request with its images. Absent: never.',
      }),
  })
  .meta({
    description: 'What to checkpoint. The pod runs on afterwards. Immutable.',
    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'spec is immutable' }],
  });
export type CheckpointRequestSpec = z.infer<typeof CheckpointRequestSpec>;

export const CheckpointPhase = z.enum(['Pending', 'Checkpointing', 'Succeeded', 'Failed']);

/** A pod's metadata (labels, annotations) and spec, from which a new pod can be created. */
export const PodTemplate = z.looseObject({
  metadata: z
    .looseObject({
      labels: z
        .record(z.string(), z.string())
        .optional()
        .meta({ description: 'Labels of the pod.' }),
      annotations: z
        .record(z.string(), z.string())
        .optional()
        .meta({ description: 'Annotations of the pod.' }),
    })
    .optional()
    .meta({
      description: 'Labels and annotations of the pod.',
      'x-kubernetes-preserve-unknown-fields': true,
    }),
  spec: z.record(z.string(), z.unknown()).meta({
    description: 'The spec of the pod.',
    'x-kubernetes-preserve-unknown-fields': true,
    type: 'object',
  }),
});
export type PodTemplate = z.infer<typeof PodTemplate>;

export const CheckpointRequestStatus = z
  .object({
    ...commonStatus,
    phase: CheckpointPhase.optional().meta({
      description:
        'Summary for people, derived from the other fields. Programs read the conditions.',
    }),
    deadline: Timestamp.optional().meta({
      format: 'date-time',
      description: 'When the agent gives up and resumes the pod.',
    }),
    conditions: Conditions.optional(),
    nodeName: z
      .string()
      .max(253)
      .optional()
      .meta({ description: 'The node that runs the pod and stores the images.' }),
    podUID: Uid.optional().meta({ description: 'UID of the pod.' }),
    checkpointId: Uid.optional().meta({ description: 'Directory name of the images on the node.' }),
    cpuFeatures: z.string().max(4096).optional().meta({
      description:
        'CPU features of the node when the checkpoint began; a node that lacks one takes no pod from it.',
    }),
    podTemplate: PodTemplate.optional().meta({
      description: 'The pod’s description at the time of the checkpoint, for a RestoreRequest.',
      'x-kubernetes-preserve-unknown-fields': true,
    }),
    location: z
      .string()
      .max(1400)
      .optional()
      .meta({ description: 'Node and directory of the images: <node>:<directory>.' }),
    digest: z
      .string()
      .max(128)
      .optional()
      .meta({ description: 'Digest of the manifest of the images.' }),
    bytes: Bytes.optional(),
    size: Count.optional().meta({ description: 'Bytes of all image files on the node’s disk.' }),
    agent: CheckpointAgent.optional(),
  })
  .meta({ description: 'How far the checkpoint is, and how it ended.' });
export type CheckpointRequestStatus = z.infer<typeof CheckpointRequestStatus>;

/** Whether a checkpoint has images that a pod can be restored from. */
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

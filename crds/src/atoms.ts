// SPDX-License-Identifier: Apache-2.0
// Small schemas that the API's objects are built from.
import { z } from 'zod';

/** RFC 3339, any precision; agents write microseconds. */
export const Timestamp = z.string().max(40).meta({ format: 'date-time' });

export const DnsName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);

/** Of a list that a writer replaces as a whole. */
export const atomicList = { 'x-kubernetes-list-type': 'atomic' } as const;

export const Uid = z.string().max(64);
export const Reason = z.string().max(128);
export const Message = z.string().max(4096);
export const Milliseconds = z.number().min(0);
export const Count = z.int().min(0).meta({ format: 'int64' });

export const FinishedSeen = z.object({
  nodeName: z.string().max(253).meta({ description: 'The node on which the operator ran.' }),
  time: Timestamp.meta({ description: 'By the clock of that node.' }),
});
export type FinishedSeen = z.infer<typeof FinishedSeen>;

/** Of so many nodes the status has it. */
export const mostFinishedSeen = 16;

/** Fields that the operator writes into the status of every kind. */
export const commonStatus = {
  observedGeneration: Count.optional().meta({
    description: 'The metadata.generation of the spec that the operator has acted on.',
  }),
  startTime: Timestamp.optional().meta({ description: 'When the operator first saw the request.' }),
  completionTime: Timestamp.optional().meta({
    description: 'When the request ended. Absent: it is active.',
  }),
  finishedSeen: z
    .array(FinishedSeen)
    .max(mostFinishedSeen)
    .optional()
    .meta({
      description:
        'Since when the operator counts how long the finished request is kept, by the clock of each node on which it has led. ' +
        'Absent: the request is kept for good, or is active.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['nodeName'],
    }),
};

/** A field of every spec, with the meaning that it has in a Job's. */
export const TtlSecondsAfterFinished = Count.optional().meta({
  description: 'Delete the request that long after it has finished. Absent: keep it.',
});

/** The part of metav1.ObjectMeta that Sealift reads. Not part of the generated schemas. */
export const ObjectMeta = z.object({
  name: z.string(),
  namespace: z.string().default(''),
  uid: z.string().default(''),
  resourceVersion: z.string().default(''),
  generation: z.number().default(0),
  creationTimestamp: z.string().default(''),
  deletionTimestamp: z.string().optional(),
  finalizers: z.array(z.string()).default([]),
  labels: z.record(z.string(), z.string()).default({}),
  annotations: z.record(z.string(), z.string()).default({}),
});
export type ObjectMeta = z.infer<typeof ObjectMeta>;

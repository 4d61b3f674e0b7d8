// SPDX-License-Identifier: Apache-2.0
// The schema of RestoreRequests: spec and status.
import { z } from 'zod';
import { SourceAgent, TargetAgent } from './agents.ts';
import {
  atomicList,
  commonStatus,
  DnsName,
  ObjectMeta,
  TtlSecondsAfterFinished,
  Uid,
} from './atoms.ts';
import { Conditions } from './conditions.ts';
import { Decision } from './decision.ts';
import { API_VERSION } from './names.ts';
import { Deadlines, Placement, TargetPlacement, TriedNodes } from './placement.ts';
import { Report } from './steps.ts';
import { RestoreTimeouts } from './timeouts.ts';

const Addresses = z.object({
  network: z
    .string()
    .max(253)
    .regex(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?\/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/)
    .meta({
      description: 'A network that the checkpointed pod was attached to: [namespace/]name.',
    }),
  ips: z
    .array(z.string().max(64))
    .min(1)
    .max(8)
    .meta({
      description: 'Addresses, with or without a prefix length.',
      ...atomicList,
    }),
  mac: z
    .string()
    .max(17)
    .regex(/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/)
    .optional()
    .meta({ description: 'MAC address. Absent: any.' }),
});
export type Addresses = z.infer<typeof Addresses>;

export const RestoreRequestSpec = z
  .object({
    checkpointName: DnsName.meta({
      description: 'A CheckpointRequest that has succeeded, in the request’s namespace.',
    }),
    podName: DnsName.optional().meta({
      description: 'Name of the new pod. Absent: the name of the checkpointed pod with a suffix.',
    }),
    targetNodeName: DnsName.optional().meta({
      description:
        'Name of the node to restore on. Absent: the scheduler chooses among the compatible nodes.',
    }),
    addresses: z
      .array(Addresses)
      .max(16)
      .optional()
      .meta({
        description:
          'Addresses of the new pod, for networks that assign none themselves. ' +
          'Absent: the addresses of the checkpointed pod if no other pod has them, else what the network assigns.',
        ...atomicList,
      }),
    ttlSecondsAfterFinished: TtlSecondsAfterFinished,
    timeouts: RestoreTimeouts.prefault({}),
  })
  .meta({
    description: 'What to restore, and where to. Immutable.',
    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'spec is immutable' }],
  });
export type RestoreRequestSpec = z.infer<typeof RestoreRequestSpec>;

export const RestorePhase = z.enum([
  'Pending',
  'Preparing',
  'Transferring',
  'Restoring',
  'Resuming',
  'TearingDown',
  'Succeeded',
  'Failed',
  'Cancelled',
]);

export const RestoreRequestStatus = z
  .object({
    ...commonStatus,
    phase: RestorePhase.optional().meta({
      description:
        'Summary for people, derived from the other fields. Programs read the conditions.',
    }),
    conditions: Conditions.optional(),
    checkpointId: Uid.optional().meta({
      description: 'Directory name of the images on both nodes.',
    }),
    digest: z
      .string()
      .max(128)
      .optional()
      .meta({ description: 'Digest of the manifest of the images.' }),
    source: Placement.optional().meta({
      description: 'The node that stores the checkpoint. Written by the operator.',
    }),
    target: TargetPlacement.optional().meta({
      description: 'The pod that will run. Written by the operator.',
    }),
    triedNodes: TriedNodes.optional(),
    deadlines: Deadlines.optional(),
    report: Report.optional(),
    decision: Decision.optional(),
    sourceAgent: SourceAgent.optional(),
    targetAgent: TargetAgent.optional(),
  })
  .meta({ description: 'How far the restore is, and how it ended.' });
export type RestoreRequestStatus = z.infer<typeof RestoreRequestStatus>;

export const RestoreRequest = z.object({
  apiVersion: z.literal(API_VERSION).default(API_VERSION),
  kind: z.literal('RestoreRequest').default('RestoreRequest'),
  metadata: ObjectMeta,
  spec: RestoreRequestSpec,
  status: RestoreRequestStatus.optional(),
});
export type RestoreRequest = z.infer<typeof RestoreRequest>;

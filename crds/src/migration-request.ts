// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import { SourceAgent, TargetAgent } from './agents.ts';
import { Count, DnsName, ObjectMeta, Timestamp } from './atoms.ts';
import { Conditions } from './conditions.ts';
import { Decision } from './decision.ts';
import { API_VERSION } from './names.ts';
import { Deadlines, Place, Timeouts } from './places.ts';
import { Report } from './steps.ts';

export const MigrationRequestSpec = z
  .object({
    podName: DnsName.meta({ description: 'The pod to move, in the request’s namespace.' }),
    targetNodeName: DnsName.optional().meta({
      description: 'Where to. Absent: the operator picks a compatible node.',
    }),
    cancel: z.boolean().default(false).meta({
      description: 'Stop if that is still possible. Can be set, not taken back.',
    }),
    timeouts: Timeouts.prefault({}),
  })
  .meta({
    description: 'What to move and where to. Immutable except for cancel.',
    'x-kubernetes-validations': [
      { rule: 'self.podName == oldSelf.podName', message: 'podName is immutable' },
      {
        rule:
          'has(self.targetNodeName) == has(oldSelf.targetNodeName) && ' +
          '(!has(self.targetNodeName) || self.targetNodeName == oldSelf.targetNodeName)',
        message: 'targetNodeName is immutable',
      },
      { rule: 'self.timeouts == oldSelf.timeouts', message: 'timeouts are immutable' },
      { rule: '!oldSelf.cancel || self.cancel', message: 'cancel cannot be taken back' },
    ],
  });
export type MigrationRequestSpec = z.infer<typeof MigrationRequestSpec>;

export const MigrationPhase = z.enum([
  'Pending',
  'Preparing',
  'Holding',
  'Transferring',
  'Restoring',
  'Resuming',
  'RollingBack',
  'Succeeded',
  'Failed',
  'Cancelled',
]);
export type MigrationPhase = z.infer<typeof MigrationPhase>;

export const MigrationRequestStatus = z.object({
  observedGeneration: Count.optional(),
  phase: MigrationPhase.optional().meta({
    description: 'For people, derived from the rest. Programs read conditions.',
  }),
  startTime: Timestamp.optional(),
  completionTime: Timestamp.optional(),
  conditions: Conditions.optional(),
  source: Place.optional().meta({ description: 'The pod that runs now. Written by the operator.' }),
  target: Place.optional().meta({ description: 'The pod that will run. Written by the operator.' }),
  deadlines: Deadlines.optional(),
  report: Report.optional(),
  decision: Decision.optional(),
  sourceAgent: SourceAgent.optional(),
  targetAgent: TargetAgent.optional(),
});
export type MigrationRequestStatus = z.infer<typeof MigrationRequestStatus>;

export const MigrationRequest = z.object({
  apiVersion: z.literal(API_VERSION).default(API_VERSION),
  kind: z.literal('MigrationRequest').default('MigrationRequest'),
  metadata: ObjectMeta,
  spec: MigrationRequestSpec,
  status: MigrationRequestStatus.optional(),
});
export type MigrationRequest = z.infer<typeof MigrationRequest>;

// SPDX-License-Identifier: Apache-2.0
// Steps of a handover with their times, and the report made of them.
import { z } from 'zod';
import { Count, Milliseconds, Timestamp } from './atoms.ts';

/**
 * Source: hold, freeze, dump, transfer, and resume (only on rollback).
 * Target: prepare, transfer (receiving), restore, register, decide, resume.
 */
export const StepName = z.enum([
  'prepare',
  'hold',
  'freeze',
  'dump',
  'transfer',
  'restore',
  'register',
  'decide',
  'resume',
]);
export type StepName = z.infer<typeof StepName>;

export const Step = z.object({
  name: StepName,
  startTime: Timestamp,
  endTime: Timestamp.optional(),
  deadline: Timestamp.optional().meta({
    format: 'date-time',
    description: 'Until when it has to end, by the clock of whoever does it. Kept over a restart.',
  }),
});
export type Step = z.infer<typeof Step>;

export const Steps = z
  .array(Step)
  .max(16)
  .meta({
    description: 'When each step began and ended, by this node’s clock.',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  });

export const Bytes = z
  .object({
    pages: Count.optional().meta({ description: 'Memory pages.' }),
    verbs: Count.optional().meta({ description: 'Records of the verbs objects.' }),
    rootfs: Count.optional().meta({ description: 'Writable layer and volumes.' }),
  })
  .meta({ description: 'Bytes of the images, by kind.' });
export type Bytes = z.infer<typeof Bytes>;

export const ObjectCounts = z
  .object({ qp: Count.optional(), cq: Count.optional(), mr: Count.optional() })
  .meta({ description: 'Numbers of verbs objects.' });
export type ObjectCounts = z.infer<typeof ObjectCounts>;

const StepDurations = z
  .object({
    prepareMs: Milliseconds.optional(),
    holdMs: Milliseconds.optional(),
    freezeMs: Milliseconds.optional(),
    dumpMs: Milliseconds.optional(),
    transferMs: Milliseconds.optional(),
    restoreMs: Milliseconds.optional(),
    registerMs: Milliseconds.optional(),
    decideMs: Milliseconds.optional(),
    resumeMs: Milliseconds.optional(),
  })
  .meta({ description: 'How long each step took.' });

const Same = z
  .object({
    qpn: z.boolean().optional(),
    lkey: z.boolean().optional(),
    rkey: z.boolean().optional(),
    gid: z.boolean().optional(),
    ip: z.boolean().optional(),
    mac: z.boolean().optional(),
  })
  .meta({
    description:
      'Whether what both agents read on their own node is equal; absent where one said nothing.',
  });
export type Same = z.infer<typeof Same>;

export const Report = z
  .object({
    blackoutMs: Milliseconds.optional().meta({
      description: 'From the start of the source’s hold to the end of the target’s resume.',
    }),
    steps: StepDurations.optional(),
    bytes: Bytes.optional(),
    objects: ObjectCounts.optional(),
    same: Same.optional(),
  })
  .meta({ description: 'The facts of the move, computed from both agents’ parts.' });
export type Report = z.infer<typeof Report>;

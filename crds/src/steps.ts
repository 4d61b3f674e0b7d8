// SPDX-License-Identifier: Apache-2.0
// Steps of a move with their times, and the report that the operator makes of them.
import { z } from 'zod';
import { Count, Milliseconds, Timestamp } from './atoms.ts';

/**
 * Source: hold, freeze, dump, transfer, and resume (only after Aborted).
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
    description:
      'When the step has to have ended, by the clock of the agent that does it. It outlives a restart of that agent.',
  }),
});
export type Step = z.infer<typeof Step>;

export const Steps = z
  .array(Step)
  .max(16)
  .meta({
    description: 'When each step began and ended, by the node’s clock.',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  });

export const Bytes = z
  .object({
    pages: Count.optional().meta({ description: 'Memory pages.' }),
    verbs: Count.optional().meta({ description: 'Records of the RDMA objects.' }),
    rootfs: Count.optional().meta({ description: 'Writable layers and volumes.' }),
  })
  .meta({ description: 'Bytes of the images, by kind.' });
export type Bytes = z.infer<typeof Bytes>;

export const ObjectCounts = z
  .object({
    qp: Count.optional(),
    cq: Count.optional(),
    mr: Count.optional(),
    srq: Count.optional(),
    ah: Count.optional(),
  })
  .meta({
    description:
      'How many RDMA objects the pod has: queue pairs, completion queues, memory regions, shared receive queues, address handles.',
  });
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
      'Whether both agents read the same values on their nodes. Absent: one of them published no value.',
  });
export type Same = z.infer<typeof Same>;

export const Report = z
  .object({
    blackoutMs: Milliseconds.optional().meta({
      description:
        'Milliseconds from the start of the source’s hold to the end of the target’s resume.',
    }),
    steps: StepDurations.optional(),
    bytes: Bytes.optional(),
    objects: ObjectCounts.optional(),
    same: Same.optional(),
  })
  .meta({
    description: 'What the move took. The operator computes it from what both agents publish.',
  });
export type Report = z.infer<typeof Report>;

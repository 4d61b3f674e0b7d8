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
  name: StepName.meta({ description: 'Name of the step.' }),
  startTime: Timestamp.meta({ description: 'When the step began, by the clock of the node.' }),
  endTime: Timestamp.optional().meta({ description: 'When the step ended. Absent: it has not.' }),
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

export const totalOf = ({ pages = 0, verbs = 0, rootfs = 0 }: Bytes = {}): number =>
  pages + verbs + rootfs;

export const ObjectCounts = z
  .object({
    qp: Count.optional().meta({ description: 'Queue pairs.' }),
    cq: Count.optional().meta({ description: 'Completion queues.' }),
    mr: Count.optional().meta({ description: 'Memory regions.' }),
    srq: Count.optional().meta({ description: 'Shared receive queues.' }),
    ah: Count.optional().meta({ description: 'Address handles.' }),
  })
  .meta({
    description:
      'How many RDMA objects the pod has: queue pairs, completion queues, memory regions, shared receive queues, address handles.',
  });
export type ObjectCounts = z.infer<typeof ObjectCounts>;

const StepDurations = z
  .object({
    prepareMs: Milliseconds.optional().meta({
      description: 'Milliseconds until the target was at its create gate.',
    }),
    holdMs: Milliseconds.optional().meta({
      description: 'Milliseconds of locking the network and holding the RDMA device.',
    }),
    freezeMs: Milliseconds.optional().meta({ description: 'Milliseconds of freezing the tasks.' }),
    dumpMs: Milliseconds.optional().meta({ description: 'Milliseconds of writing the images.' }),
    transferMs: Milliseconds.optional().meta({
      description: 'Milliseconds of sending the images until the target had verified them.',
    }),
    restoreMs: Milliseconds.optional().meta({
      description: 'Milliseconds of restoring tasks and RDMA objects.',
    }),
    registerMs: Milliseconds.optional().meta({
      description:
        'Milliseconds of registering the memory regions, which is a part of the restore.',
    }),
    decideMs: Milliseconds.optional().meta({
      description: 'Milliseconds until the decision was recorded.',
    }),
    resumeMs: Milliseconds.optional().meta({ description: 'Milliseconds of resuming the pod.' }),
  })
  .meta({ description: 'How long each step took.' });

const Same = z
  .object({
    qpn: z.boolean().optional().meta({ description: 'Queue pair numbers.' }),
    lkey: z.boolean().optional().meta({ description: 'Local keys of memory regions.' }),
    rkey: z.boolean().optional().meta({ description: 'Remote keys of memory regions.' }),
    gid: z.boolean().optional().meta({
      description: 'GIDs of the RDMA devices, with their indexes if both agents know them.',
    }),
    ip: z.boolean().optional().meta({ description: 'Addresses of their interfaces.' }),
    mac: z.boolean().optional().meta({ description: 'MAC addresses of their interfaces.' }),
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
    sentBytesPerSecond: Count.optional().meta({
      description: 'Bytes of the images by the time that sending them took, verification included.',
    }),
    objects: ObjectCounts.optional(),
    same: Same.optional(),
  })
  .meta({
    description: 'What the move took. The operator computes it from what both agents publish.',
  });
export type Report = z.infer<typeof Report>;

// SPDX-License-Identifier: Apache-2.0
// What a dry run finds out. The agent of the pod's node writes what it has seen; the operator adds its own findings.
import { z } from 'zod';
import { atomicList, Count, Milliseconds, Reason } from './atoms.ts';
import { Bytes, ObjectCounts } from './steps.ts';

const finding = (reason: string) =>
  z.object({
    reason: Reason.meta({ description: reason }),
    message: z.string().max(2048).meta({ description: 'What it is, whose it is, and what to do.' }),
  });
export const Finding = finding('As one word: the reason with which a move would fail.');
export type Finding = z.infer<typeof Finding>;

export const Inspection = z
  .object({
    targetNodeName: z
      .string()
      .max(253)
      .optional()
      .meta({ description: 'The node that a move would begin with. Absent: there is none.' }),
    keepsAddresses: z.boolean().optional().meta({
      description:
        'Whether the pod keeps its addresses in the cluster’s network there. Connections at addresses that it does not keep are in the way.',
    }),
    findings: z
      .array(Finding)
      .max(160)
      .meta({
        description: 'Everything that would make a move fail. Empty: nothing was found.',
        ...atomicList,
      }),
    notes: z
      .array(finding('As one word: what would come with the move. It fails none.'))
      .max(16)
      .optional()
      .meta({
        description: 'What a move would bring with it, though it would not fail.',
        ...atomicList,
      }),
    objects: ObjectCounts.optional(),
    bytes: Bytes.optional(),
    lostConnections: Count.optional().meta({
      description:
        'TCP connections at the pod’s own IP that a move would end, as podIPConnections of request and policy allow. Absent: none.',
    }),
    sendingMs: Milliseconds.optional().meta({
      description:
        'Milliseconds that sending these bytes takes at the bandwidth that the policy allows; the pod stands still for longer than ' +
        'that. Absent: the policy sets no limit.',
    }),
  })
  .meta({
    description:
      'Only of a dry run: what is in the way of a move, and how much would be moved. Bytes are those of now.',
  });
export type Inspection = z.infer<typeof Inspection>;

// SPDX-License-Identifier: Apache-2.0
// Where a pod is, as the operator settled it.
import { z } from 'zod';
import { Count, Timestamp, Uid } from './atoms.ts';

export const Placement = z.object({
  nodeName: z.string().max(253),
  podName: z.string().max(253).optional(),
  podUID: Uid.optional(),
  restarts: Count.optional().meta({
    description: 'Of a source: how often its containers had been restarted when it was accepted.',
  }),
  agentAddress: z
    .string()
    .max(300)
    .optional()
    .meta({ description: 'host:port of the image receiver of the node’s agent.' }),
});
export type Placement = z.infer<typeof Placement>;

export const Deadlines = z
  .object({
    prepare: Timestamp.optional(),
    blackout: Timestamp.optional().meta({
      format: 'date-time',
      description: 'Set when the target is at its create gate; the source may hold from then on.',
    }),
    confirmation: Timestamp.optional().meta({
      format: 'date-time',
      description: 'After the decision: when to stop waiting for a node that says nothing.',
    }),
    lastLook: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'Once the target runs: when the operator looks for the last time whether it still does.',
    }),
  })
  .meta({ description: 'Absolute, so that they outlive a restart of the operator.' });
export type Deadlines = z.infer<typeof Deadlines>;

// SPDX-License-Identifier: Apache-2.0
// The decision: the only fact about a handover that either side acts on.
import { z } from 'zod';
import { Message, Reason, Timestamp } from './atoms.ts';

export const Outcome = z.enum(['Committed', 'Aborted']);
export type Outcome = z.infer<typeof Outcome>;

export const Decision = z
  .object({
    outcome: Outcome,
    by: z.string().max(253).meta({ description: 'Who wrote it: operator or agent/<node>.' }),
    time: Timestamp,
    reason: Reason,
    message: Message.default(''),
  })
  .meta({
    description:
      'Written once, by whoever is first; never changed. The target runs only on Committed, ' +
      'the source thaws only on Aborted.',
  });
export type Decision = z.infer<typeof Decision>;

/** On the root, so that removing the whole status is refused as well. */
export const decisionRule = {
  rule:
    '!has(oldSelf.status) || !has(oldSelf.status.decision) || ' +
    '(has(self.status) && has(self.status.decision) && ' +
    'self.status.decision == oldSelf.status.decision)',
  message: 'status.decision is written once and never changed',
  reason: 'FieldValueForbidden',
} as const;

const isNewCommit =
  '(has(oldSelf.status) && has(oldSelf.status.decision)) || ' +
  '!has(self.status) || !has(self.status.decision) || ' +
  "self.status.decision.outcome != 'Committed' || ";
const byTarget =
  'has(self.status.target) && ' +
  "self.status.decision.by == 'agent/' + self.status.target.nodeName";

/** Aborting harms nobody; committing is the target's agent's alone. */
export const committedRule = {
  rule: `${isNewCommit}(${byTarget})`,
  message: 'only the agent of status.target.nodeName commits',
  reason: 'FieldValueForbidden',
} as const;

/** Nor before the operator has seen the target at its create gate: until then nothing can have been moved. */
export const migrationCommittedRule = {
  rule: `${isNewCommit}(${byTarget} && has(self.status.deadlines) && has(self.status.deadlines.blackout))`,
  message:
    'only the agent of status.target.nodeName commits, and only once status.deadlines.blackout is set',
  reason: 'FieldValueForbidden',
} as const;

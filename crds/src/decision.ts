// SPDX-License-Identifier: Apache-2.0
// The decision: the only fact about a handover that either side acts on.
import { z } from 'zod';
import { Message, Reason, Timestamp } from './atoms.ts';

export const Outcome = z.enum(['Committed', 'Aborted']);
export type Outcome = z.infer<typeof Outcome>;

export const Decision = z
  .object({
    outcome: Outcome.meta({
      description:
        'Which copy of the pod runs: the target after Committed, the source after Aborted.',
    }),
    by: z
      .string()
      .max(253)
      .meta({ description: 'Who wrote the decision: operator or agent/<node>.' }),
    time: Timestamp.meta({
      description: 'When it was proposed, by the clock of the process that wrote it.',
    }),
    reason: Reason.meta({ description: 'Why, as one word.' }),
    message: Message.default('').meta({ description: 'Why, and what to do.' }),
  })
  .meta({
    description:
      'The first writer’s decision stands; the API server refuses a change. The target runs only after Committed, ' +
      'the source thaws only after Aborted.',
  });
export type Decision = z.infer<typeof Decision>;

/** On the root, so that the API server refuses to remove the whole status, too. */
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
  'has(self.status.target) && has(self.status.target.nodeName) && ' +
  "self.status.decision.by == 'agent/' + self.status.target.nodeName";

/** Any writer may abort; only the target's agent may commit. */
export const committedRule = {
  rule: `${isNewCommit}(${byTarget})`,
  message: 'only the agent of status.target.nodeName commits',
  reason: 'FieldValueForbidden',
} as const;

/** Nor before the operator has seen the target at its create gate: nothing can have been moved until then. */
export const migrationCommittedRule = {
  rule: `${isNewCommit}(${byTarget} && has(self.status.deadlines) && has(self.status.deadlines.blackout))`,
  message:
    'only the agent of status.target.nodeName commits, and only once status.deadlines.blackout is set',
  reason: 'FieldValueForbidden',
} as const;

// SPDX-License-Identifier: Apache-2.0
// A target's entry in the journal.
import type { Entry, Journal } from '../../support/journal/journal.ts';
import type { Limit } from '../step-limits.ts';
import type { CreateAtGate } from '../../support/gate-waiters.ts';
import type { Handover, HandoverKind } from '../../callers/request-lookup.ts';
import { microTimestamp } from '../../support/step-times.ts';

/** What is written down of a request, or the beginning of it. */
export function entryOf(journal: Journal, kind: HandoverKind, request: Handover): Entry {
  const { uid, namespace, name } = request.metadata;
  const existing = journal.get(uid, 'target');
  if (existing) return existing;
  return {
    version: 1,
    id: uid,
    role: 'target',
    kind,
    namespace,
    name,
    pod: request.status?.target?.podName ?? '',
    podUid: request.status?.target?.podUID ?? '',
    stage: 'Preparing',
    containers: [],
    steps: [],
  };
}

type Created = Pick<
  CreateAtGate,
  'id' | 'container' | 'bundle' | 'containers' | 'since' | 'attempt'
>;

/** Whether a container is another one than the one of its name that was answered, or a later attempt at it. */
export function isOtherAttempt(entry: Entry | undefined, created: Created): boolean {
  const known = entry?.containers.find((one) => one.name === created.container);
  if (known?.id === undefined) return false;
  return known.id !== created.id || created.attempt > (known.attempt ?? 1);
}

/** The pod's containers, one of which has been created. */
export function withCreated(entry: Entry, created: Created): Entry['containers'] {
  return created.containers.map((name) => {
    const known = entry.containers.find((one) => one.name === name);
    if (name !== created.container) return known ?? { name };
    const { id, bundle, since, attempt } = created;
    return { name, id, bundle, since, attempt };
  });
}

/** Times the preparation: from the first CNI call to the create gate. */
export async function recordPreparation(
  journal: Journal,
  target: { kind: HandoverKind; request: Handover },
  atGate: boolean,
): Promise<void> {
  const entry = entryOf(journal, target.kind, target.request);
  const begun = entry.steps.find((step) => step.name === 'prepare');
  if (begun && (!atGate || begun.endTime !== undefined)) return;
  const now = microTimestamp();
  const step = { name: 'prepare' as const, startTime: begun?.startTime ?? now };
  await journal.put({ ...entry, steps: [atGate ? { ...step, endTime: now } : step] });
}

/** Until when a pod whose peers give up may be committed, by this node's clock. */
export function peerLimitOf(entry: Entry | undefined): Limit | undefined {
  if (entry?.peerDeadline === undefined) return undefined;
  return {
    at: Date.parse(entry.peerDeadline),
    code: 'PeerRetryBudgetExceeded',
    message:
      "the pod's peers give up soon (annotation sealift.dev/peer-rnr-retry): the target was not at its resume gate " +
      'in time, so the pod goes on where it was; docs/peers.md says what to set',
  };
}

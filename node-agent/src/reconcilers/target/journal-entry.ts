// SPDX-License-Identifier: Apache-2.0
// A target's journal entry, and what the agent derives from it.
import { isDeepStrictEqual } from 'node:util';
import type { Handover, HandoverKind } from '../../callers/request-lookup.ts';
import type { CreateAtGate } from '../../support/gate-waiters.ts';
import type { Entry, Journal } from '../../support/journal/journal.ts';
import { microTimestamp } from '../../support/step-times.ts';
import type { Limit } from '../step-limits.ts';

/** The request's entry; a new one, not yet written, if the journal has none. */
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

type Create = Pick<CreateAtGate, 'id' | 'container' | 'bundle' | 'containers'>;

/** Whether this create is of another container than the one that the agent answered: the kubelet has made it again. */
export function isRecreated(entry: Entry | undefined, create: Create): boolean {
  const answered = entry?.containers.find((one) => one.name === create.container);
  return answered?.id !== undefined && answered.id !== create.id;
}

/** Whether the kubelet has made the container. */
export const isMade = (
  one: Entry['containers'][number],
): one is Entry['containers'][number] & { id: string; bundle: string } =>
  one.id !== undefined && one.bundle !== undefined;

/** The entry's containers with this create. */
export function withCreate(entry: Entry, create: Create): Entry['containers'] {
  return create.containers.map((name) => {
    const recorded = entry.containers.find((one) => one.name === name);
    if (name !== create.container) return recorded ?? { name };
    return { name, id: create.id, bundle: create.bundle };
  });
}

/** What the agent sees of a pod at its create gate. */
export type Seen = Pick<Entry, 'netns' | 'probes' | 'gids'> & { sandboxId?: string | undefined };

/**
 * Records the step `prepare`: from the first CNI call to the create gate.
 * @param seen of a pod at its create gate: its sandbox, its network probes, the namespace with its addresses, its GID tables
 */
export async function recordPreparation(
  journal: Journal,
  target: { kind: HandoverKind; request: Handover },
  atGate: boolean,
  { sandboxId, ...seen }: Seen = {},
): Promise<void> {
  const entry = entryOf(journal, target.kind, target.request);
  const begun = entry.steps.find((step) => step.name === 'prepare');
  const isTimed = begun !== undefined && (!atGate || begun.endTime !== undefined);
  // A sandbox that is made again has other addresses, and has not been given those of the source.
  const before = { probes: entry.probes, gids: entry.gids, fabric: entry.fabric };
  const isOther = sandboxId !== undefined && entry.fabric?.sandboxId !== sandboxId;
  const after = {
    probes: seen.probes ?? before.probes,
    gids: seen.gids ?? before.gids,
    fabric: isOther ? undefined : before.fabric,
  };
  if (isTimed && isDeepStrictEqual(after, before)) return;
  const now = microTimestamp();
  const step = { name: 'prepare' as const, startTime: begun?.startTime ?? now };
  const steps = isTimed ? entry.steps : [atGate ? { ...step, endTime: now } : step];
  await journal.put({ ...entry, ...seen, fabric: after.fabric, steps });
}

/** Until when a pod whose peers have a retry limit may be committed, by this node's clock. */
export function peerLimitOf(entry: Entry | undefined): Limit | undefined {
  if (entry?.peerDeadline === undefined) return undefined;
  return {
    at: Date.parse(entry.peerDeadline),
    code: 'PeerRetryBudgetExceeded',
    message:
      "The pod's peers have a retry limit (annotation sealift.dev/peer-rnr-retry), and the target did not reach its " +
      'resume gate within their retry budget. The pod resumes on its source node. docs/peers.md says what to set.',
  };
}

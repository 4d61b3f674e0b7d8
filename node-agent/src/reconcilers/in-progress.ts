// SPDX-License-Identifier: Apache-2.0
// Which requests wait for no other one. A dump or a transfer keeps one of a controller's few workers for minutes.
import { isFinished, type MigrationRequestStatus } from '../../../crds/src/index.ts';
import { isOver, type Entry, type Journal } from '../support/journal/journal.ts';

/** A request of any kind. */
export interface AnyRequest {
  metadata: { uid: string };
  status?: object | undefined;
}

/**
 * Whether an agent that ends may still work on the request: it has begun to, or the pod stands still on its source's node and waits
 * for this one.
 */
export function mayGoOn(
  journal: Journal,
  { metadata, status }: AnyRequest,
  role: Entry['role'],
): boolean {
  const entry = journal.get(metadata.uid, role);
  if (entry?.stage !== 'Preparing') return entry !== undefined;
  const { deadlines, sourceAgent } = (status ?? {}) as Partial<MigrationRequestStatus>;
  return deadlines?.blackout !== undefined || sourceAgent?.state === 'Holding';
}

/** The same, and its part is not over. Of one that has finished, what is left in the journal stays there until it is deleted. */
export function isUnderWay(journal: Journal, request: AnyRequest, role: Entry['role']): boolean {
  const entry = journal.get(request.metadata.uid, role);
  if (entry === undefined || isOver(entry) || isFinished(request)) return false;
  return mayGoOn(journal, request, role);
}

/** Whether the request is decided, or the agent has begun something that it has not ended or undone. */
export function isInProgress(
  journal: Journal,
  { metadata, status }: AnyRequest,
  role: Entry['role'],
): boolean {
  if (status && 'decision' in status && status.decision !== undefined) return true;
  const entry = journal.get(metadata.uid, role);
  return entry !== undefined && entry.stage !== 'Preparing' && !isOver(entry);
}

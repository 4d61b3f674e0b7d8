// SPDX-License-Identifier: Apache-2.0
// Which requests wait for no other one. A dump or a transfer keeps one of a controller's few workers for minutes.
import { isOver, type Entry, type Journal } from '../support/journal/journal.ts';

/** A request of any kind. */
export interface AnyRequest {
  metadata: { uid: string };
  status?: object | undefined;
}

/** Whether the agent has begun something for a request that it has not ended or undone: its pod may be locked. */
export const isBegun = (entry: Pick<Entry, 'stage'>): boolean =>
  entry.stage !== 'Preparing' && !isOver(entry);

/** Whether the request is decided, or the agent has begun something that it has not ended or undone. */
export function isInProgress(
  journal: Journal,
  { metadata, status }: AnyRequest,
  role: Entry['role'],
): boolean {
  if (status && 'decision' in status && status.decision !== undefined) return true;
  const entry = journal.get(metadata.uid, role);
  return entry !== undefined && isBegun(entry);
}

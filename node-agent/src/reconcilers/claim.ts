// SPDX-License-Identifier: Apache-2.0
// One request at a time works on a pod of this node. The reconcilers of source and checkpoint claim the pod before they lock it.
import { AgentError } from '../support/errors.ts';
import type { Journal } from '../support/journal/journal.ts';

interface PodKey {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
}

/** Claims the pod for a request that will lock it. @throws AgentError AnotherMigration if another request has it */
export function claimPod(
  journal: Journal,
  { namespace, pod, podUid }: PodKey,
  requestUid: string,
): void {
  if (journal.claim(podUid, requestUid)) return;
  const message = `${competingRequest(journal, podUid, requestUid)} is at work on pod ${namespace}/${pod}. Create a new request when it has finished.`;
  throw new AgentError('AnotherMigration', message);
}

/** For people. A request that has claimed the pod is not in the journal before it has locked it. */
function competingRequest(journal: Journal, podUid: string, requestUid: string): string {
  const found = journal.busyWith(podUid, requestUid);
  return found ? `${found.kind} ${found.namespace}/${found.name}` : 'Another request';
}

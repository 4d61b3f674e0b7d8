// SPDX-License-Identifier: Apache-2.0
// One request at a time works on a pod of this node. The reconcilers of source and checkpoint claim the pod before they lock it.
import { AgentError } from '../support/errors.ts';
import type { Journal } from '../support/journal/journal.ts';

/** Claims the pod for a request that will lock it. @throws AgentError AnotherMigration if another request has it */
export function claimPod(journal: Journal, podUid: string, requestUid: string): void {
  if (journal.claim(podUid, requestUid)) return;
  const message =
    'Another request is at work on this pod. Create a new request when that one has finished.';
  throw new AgentError('AnotherMigration', message);
}

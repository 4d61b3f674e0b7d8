// SPDX-License-Identifier: Apache-2.0
// A source's entry in the journal, and what its request says of the pod.
import type { MigrationRequest, SourceState } from '../../../crds/src/index.ts';
import type { SilencedPod } from '../checkpoint/checkpointer.ts';
import { AgentError } from '../errors.ts';
import type { Entry, Journal, Stage } from '../journal/journal.ts';

/** What the agent says while a source is anything but itself. */
const touched: ReadonlySet<SourceState | undefined> = new Set([
  'Holding',
  'Dumping',
  'Transferring',
  'Sent',
]);

/** What is written down of a request, or the beginning of it. */
export function entryOf(journal: Journal, request: MigrationRequest): Entry {
  const { uid, namespace, name } = request.metadata;
  const existing = journal.get(uid, 'source');
  if (existing) return existing;
  return {
    version: 1,
    id: uid,
    role: 'source',
    kind: 'MigrationRequest',
    namespace,
    name,
    pod: request.status?.source?.podName ?? request.spec.podName,
    podUid: podUid(request),
    stage: 'locking',
    containers: [],
    steps: [],
  };
}

/** The pod, of which there may be no more left than its sandbox. */
export function placeOf(journal: Journal, request: MigrationRequest): SilencedPod {
  return { podUid: podUid(request), netns: journal.get(request.metadata.uid, 'source')?.netns };
}

/** A journal that lost its entry must not leave a frozen pod: the earliest stage repeats and undoes all. */
export function forgotten(told: SourceState | undefined): Stage | undefined {
  return touched.has(told) ? 'locking' : undefined;
}

/** @throws AgentError PodNotFound */
export function podUid(request: MigrationRequest): string {
  const uid = request.status?.source?.podUID;
  if (uid !== undefined) return uid;
  throw new AgentError('PodNotFound', 'the request does not say yet which pod it is about');
}

/** @throws AgentError PodNotFound */
export function podName(request: MigrationRequest): {
  namespace: string;
  pod: string;
  podUid: string;
} {
  const pod = request.status?.source?.podName ?? request.spec.podName;
  return { namespace: request.metadata.namespace, pod, podUid: podUid(request) };
}

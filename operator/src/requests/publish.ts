// SPDX-License-Identifier: Apache-2.0
// Writes the operator's part of a request's status, and records the events of conditions that changed with it.
import { fieldManagers, type Condition } from '../../../crds/src/index.ts';
import {
  pods,
  withFaults,
  writeStatus,
  type ApiObject,
  type Context,
  type Pod,
  type Resource,
} from '../../../kube/src/index.ts';
import { acceptExclusively, type CompetingRequest } from './competing-requests.ts';
import { conditionEvents, recordEvents } from './condition-events.ts';
import type { Dependencies } from './dependencies.ts';
import type { DraftStatus } from './status-draft.ts';

interface Request extends ApiObject {
  readonly status?: { readonly conditions?: readonly Condition[] | undefined } | undefined;
}

export interface StatusUpdate<T extends Request> {
  readonly resource: Resource<T>;
  /** As observed; a newer version makes the write fail. */
  readonly request: T;
  readonly owned: readonly string[];
  readonly status: DraftStatus;
  /** The outcome is recorded on this pod too. */
  readonly pod: Pod | undefined;
  /** The request, if this status accepts it for a pod that others may compete for. */
  readonly accepts?: CompetingRequest | undefined;
}

/**
 * @returns whether anything has changed
 * @throws ApiError `Conflict` when the request is no longer the one that was observed, or a competing one was accepted
 */
export async function publishStatus<T extends Request>(
  dependencies: Dependencies,
  update: StatusUpdate<T>,
  { signal }: Context,
): Promise<boolean> {
  const { resource, request, owned, status, pod, accepts } = update;
  const write = (): Promise<T | undefined> =>
    withFaults('operator.status', () =>
      writeStatus(dependencies.api, {
        resource,
        object: request,
        manager: fieldManagers.operator,
        owned,
        status,
        onConflict: 'throw',
        signal,
      }),
    );
  const written = await (accepts
    ? acceptExclusively(dependencies, accepts, signal, write)
    : write());
  if (!written) return false;
  const events = conditionEvents(request.status?.conditions, status.conditions);
  recordEvents(dependencies, resource, request, events, { resource: pods, object: pod });
  return true;
}

// SPDX-License-Identifier: Apache-2.0
// Writes the decision by compare-and-swap: the first writer wins, and every writer learns which decision stands.
import type { Decision } from '../../crds/src/index.ts';
import { fieldManagers } from '../../crds/src/index.ts';
import type { Api, JsonPatch } from './api.ts';
import { realClock, timestamp, type Clock } from './clock.ts';
import { isInvalid, TerminalError } from './errors.ts';
import type { ApiObject, Resource } from './resource.ts';

/** Requests that end in a decision. */
export interface Decidable extends ApiObject {
  readonly status?: { readonly decision?: Decision | undefined } | undefined;
}

export interface Proposal {
  readonly outcome: Decision['outcome'];
  /** `operator` or `agent/<node>`. */
  readonly by: string;
  readonly reason: string;
  readonly message?: string | undefined;
}

/**
 * Proposes a decision.
 * The API server refuses to change a decision (CEL), and its write is atomic, so the proposal needs no version.
 * @returns the decision that stands: this one, or an earlier one
 * @throws ApiError `NotFound`/`Conflict` when the request is gone or replaced; ConnectionError when the server did not
 * answer: the caller then knows nothing, acts on neither outcome and proposes again.
 */
export async function proposeDecision<T extends Decidable>(
  api: Api,
  resource: Resource<T>,
  request: T,
  proposal: Proposal,
  options: { readonly signal?: AbortSignal | undefined; readonly clock?: Clock } = {},
): Promise<Decision> {
  const { name, namespace, uid } = request.metadata;
  if (request.status?.decision) return request.status.decision;
  const decision: Decision = {
    outcome: proposal.outcome,
    by: proposal.by,
    time: timestamp((options.clock ?? realClock).now()),
    reason: proposal.reason,
    message: (proposal.message ?? '').slice(0, 4096),
  };
  try {
    const written = await api.jsonPatch(resource, namespace, name, patch(request, decision), {
      manager: fieldManagers.decision,
      subresource: 'status',
      signal: options.signal,
    });
    return standing(written);
  } catch (error) {
    if (!isInvalid(error)) throw error;
    const current = await api.get(resource, namespace, name, { signal: options.signal });
    if (current.metadata.uid !== uid) {
      throw new TerminalError(
        'RequestReplaced',
        `Another request has the name ${namespace}/${name} now.`,
        error,
      );
    }
    if (current.status?.decision) return current.status.decision;
    // Another writer has added or removed the status since the request was read: try once more with the current one.
    if ((request.status === undefined) === (current.status === undefined)) throw error;
    return proposeDecision(api, resource, current, proposal, options);
  }
}

/** The patch tests the UID, because the server ignores a UID that is given in another way. */
function patch(request: Decidable, decision: Decision): JsonPatch[] {
  const { uid, resourceVersion } = request.metadata;
  const tests: JsonPatch[] = [{ op: 'test', path: '/metadata/uid', value: uid }];
  if (request.status) return [...tests, { op: 'add', path: '/status/decision', value: decision }];
  tests.push({ op: 'test', path: '/metadata/resourceVersion', value: resourceVersion });
  return [...tests, { op: 'add', path: '/status', value: { decision } }];
}

function standing(request: Decidable): Decision {
  if (!request.status?.decision) {
    throw new TerminalError('DecisionLost', 'The API server did not store the decision.');
  }
  return request.status.decision;
}

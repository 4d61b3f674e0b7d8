// SPDX-License-Identifier: Apache-2.0
// Writing the decision: compare-and-swap, so that whoever is first wins and all learn the same.
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
 * Proposes a decision and tells which one stands: this one, or an earlier one. The API server
 * refuses to change a decision (CEL), and its own write is atomic, so no version needs to be sent.
 * @throws ApiError `NotFound`/`Conflict` when the request is gone or replaced; ConnectionError when
 * the server did not answer. Then nothing is known: act on neither outcome, ask again.
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
        `${namespace}/${name} is another request now`,
        error,
      );
    }
    if (current.status?.decision) return current.status.decision;
    // The status came or went since the request was read: once more with what is there now.
    if ((request.status === undefined) === (current.status === undefined)) throw error;
    return proposeDecision(api, resource, current, proposal, options);
  }
}

/** The tests keep the decision out of a namesake; the server ignores a uid given otherwise. */
function patch(request: Decidable, decision: Decision): JsonPatch[] {
  const { uid, resourceVersion } = request.metadata;
  const tests: JsonPatch[] = [{ op: 'test', path: '/metadata/uid', value: uid }];
  if (request.status) return [...tests, { op: 'add', path: '/status/decision', value: decision }];
  tests.push({ op: 'test', path: '/metadata/resourceVersion', value: resourceVersion });
  return [...tests, { op: 'add', path: '/status', value: { decision } }];
}

function standing(request: Decidable): Decision {
  if (!request.status?.decision) {
    throw new TerminalError('DecisionLost', 'the API server did not keep the decision');
  }
  return request.status.decision;
}

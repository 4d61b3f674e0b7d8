// SPDX-License-Identifier: Apache-2.0
// What the API server refuses: the CEL rules of the definitions, the schemas, and the chart's policy about decisions.
// The rules' own text is tested against a real API server (kube/src/api-server.test.ts); these are the same by hand.
import { isDeepStrictEqual } from 'node:util';
import type { Decision, MigrationRequestStatus } from '../../../crds/src/index.ts';
import {
  ApiError,
  checkpointRequests,
  migrationRequests,
  restoreRequests,
  type Resource,
} from '../../../kube/src/index.ts';
import type { Stored } from './objects.ts';

const resources: Readonly<Record<string, Resource<unknown>>> = {
  MigrationRequest: migrationRequests,
  CheckpointRequest: checkpointRequests,
  RestoreRequest: restoreRequests,
};

const invalid = (message: string): ApiError => new ApiError(422, 'Invalid', message);

/** @param by who writes: `operator`, `agent/<node>`, or anything else. @throws ApiError */
export function checkWrite(before: Stored | undefined, after: Stored, by: string): void {
  const resource = resources[after.kind];
  if (!resource) return;
  try {
    resource.parse(after);
  } catch (error) {
    throw invalid(`schema: ${String(error)}`);
  }
  if (!before) return;
  checkSpec(before, after);
  if (after.kind !== 'CheckpointRequest') checkDecision(before, after, by);
}

function checkSpec(before: Stored, after: Stored): void {
  const { cancel: was = false, ...old } = before.spec ?? {};
  const { cancel: is = false, ...now } = after.spec ?? {};
  if (!isDeepStrictEqual(old, now)) throw invalid('spec is immutable');
  if (was === true && is !== true) throw invalid('cancel cannot be taken back');
}

function checkDecision(before: Stored, after: Stored, by: string): void {
  const was = decisionOf(before);
  const is = decisionOf(after);
  if (was) {
    if (isDeepStrictEqual(was, is)) return;
    throw invalid('status.decision is written once and never changed');
  }
  if (!is) return;
  const status = after.status as MigrationRequestStatus;
  if (is.outcome === 'Committed') {
    const allowed = is.by === `agent/${status.target?.nodeName ?? ''}`;
    if (!allowed) throw invalid('only the agent of status.target.nodeName commits');
    if (after.kind === 'MigrationRequest' && status.deadlines?.blackout === undefined) {
      throw invalid('only once status.deadlines.blackout is set');
    }
  }
  if (is.by !== by) throw new ApiError(403, 'Forbidden', `${is.by} is not who writes it: ${by}`);
}

export function decisionOf(object: Stored | undefined): Decision | undefined {
  return object?.status?.['decision'] as Decision | undefined;
}

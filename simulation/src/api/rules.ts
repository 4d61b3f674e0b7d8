// SPDX-License-Identifier: Apache-2.0
// What the API server refuses: the schemas and CEL rules of the definitions, and the chart's policy on decisions. The
// definitions' own rules are tested against a real API server. These are written by hand and pass the same tests.
import { isDeepStrictEqual } from 'node:util';
import { committedRule, decisionRule, migrationCommittedRule } from '../../../crds/src/decision.ts';
import type { Decision, MigrationRequestStatus } from '../../../crds/src/index.ts';
import {
  ApiError,
  checkpointRequests,
  migrationRequests,
  restoreRequests,
  type Resource,
} from '../../../kube/src/index.ts';
import type { StoredObject } from './objects.ts';

/** A writer that the chart's policy exempts. */
export const anybody = 'anybody';

const resources: Readonly<Record<string, Resource<unknown>>> = {
  MigrationRequest: migrationRequests,
  CheckpointRequest: checkpointRequests,
  RestoreRequest: restoreRequests,
};

const invalid = (message: string): ApiError => new ApiError(422, 'Invalid', message);

/** @param by the writer: `operator`, `agent/<node>`, or any other name. @throws ApiError */
export function checkWrite(
  before: StoredObject | undefined,
  after: StoredObject,
  by: string,
): void {
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

function checkSpec(before: StoredObject, after: StoredObject): void {
  const { cancel: was = false, ...old } = before.spec ?? {};
  const { cancel: is = false, ...now } = after.spec ?? {};
  if (!isDeepStrictEqual(old, now)) throw invalid('spec is immutable');
  if (was === true && is !== true) throw invalid('cancel cannot be unset');
}

function checkDecision(before: StoredObject, after: StoredObject, by: string): void {
  const was = decisionOf(before);
  const is = decisionOf(after);
  if (was) {
    if (isDeepStrictEqual(was, is)) return;
    throw invalid(decisionRule.message);
  }
  if (!is) return;
  const { target, deadlines } = after.status as MigrationRequestStatus;
  const isMove = after.kind === 'MigrationRequest';
  if (is.outcome === 'Committed') {
    const isTarget = target !== undefined && is.by === `agent/${target.nodeName}`;
    const isGated = !isMove || deadlines?.blackout !== undefined;
    const { message } = isMove ? migrationCommittedRule : committedRule;
    if (!isTarget || !isGated) throw invalid(message);
  }
  if (by !== anybody && is.by !== by) {
    throw new ApiError(403, 'Forbidden', 'status.decision.by is not the writer');
  }
}

export function decisionOf(object: StoredObject | undefined): Decision | undefined {
  return object?.status?.['decision'] as Decision | undefined;
}

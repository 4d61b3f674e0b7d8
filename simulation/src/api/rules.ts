// SPDX-License-Identifier: Apache-2.0
// What the API server refuses: the CEL rules of the definitions, the schemas, and the chart's policy about decisions.
// The rules' own text is tested before a real API server; these are the same by hand, and pass the same tests.
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
import type { Stored } from './objects.ts';

/** A writer to whom the chart's policy does not apply. */
export const anybody = 'anybody';

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
    throw new ApiError(403, 'Forbidden', 'status.decision.by is not who writes it');
  }
}

export function decisionOf(object: Stored | undefined): Decision | undefined {
  return object?.status?.['decision'] as Decision | undefined;
}

// SPDX-License-Identifier: Apache-2.0
// For the test of the table: what operator and agents observe in a row, and no more than that.
import type {
  CheckpointRequest,
  MigrationRequest,
  RestoreRequest,
  SourceState,
  TargetState,
} from '../crds/src/index.ts';
import type { CheckpointObserved } from '../node-agent/src/reconcilers/checkpoint/decide.ts';
import type { ImageSenderObserved } from '../node-agent/src/reconcilers/image-sender/reconciler.ts';
import type { SourceObserved } from '../node-agent/src/reconcilers/source/decide.ts';
import type { TargetObserved } from '../node-agent/src/reconcilers/target/decide.ts';
import type { Observed as CheckpointOperatorObserved } from '../operator/src/checkpoint/types.ts';
import type { Observed as MigrationOperatorObserved } from '../operator/src/migration/types.ts';
import type { Observed as RestoreOperatorObserved } from '../operator/src/restore/types.ts';
import { see } from '../operator/testing/migration.ts';
import * as objects from '../operator/testing/objects.ts';
import { protocol } from './protocol.ts';
import type { Kind, Row } from './steps/row.ts';
import { both } from './steps/row.ts';

export const NOW = objects.NOW;

/** Nothing but a deadline that has not passed. */
export const source: SourceObserved = {
  decision: undefined,
  stage: undefined,
  targetState: undefined,
  targetAnswers: false,
  deadline: NOW + 1000,
  limit: undefined,
  isReplaced: false,
  failure: undefined,
};
export const target: TargetObserved = {
  decision: undefined,
  stage: undefined,
  create: 'none',
  images: 'absent',
  imagesAreCheckpoint: false,
  atResumeGate: 'none',
  failure: undefined,
  detached: 'none',
  unrestorable: false,
  deadline: NOW + 1000,
  limit: undefined,
  peersHaveRetryLimit: false,
  peerBudgetMs: undefined,
  peerLimit: undefined,
  sourceAnswers: false,
  finished: false,
};
export const checkpoint: CheckpointObserved = {
  stage: undefined,
  failure: undefined,
  deleting: false,
  finished: false,
  deadline: NOW + 1000,
  keyProblem: undefined,
};
export const sender: ImageSenderObserved = {
  decided: false,
  isTargetHere: false,
  sent: false,
  targetState: undefined,
  failure: undefined,
  limit: undefined,
};

/** What both agents have published once the row's step is done. */
function agentsOf(row: Row): { sourceAgent?: object; targetAgent?: object } {
  const { source: from, target: to } = row.given ?? {};
  const own = row.by === 'operator' ? undefined : both<string>(row.state).at(-1);
  const isSource = row.by === 'source agent' || row.by === 'image sender';
  const sourceState = isSource ? (own as SourceState) : from;
  const targetState = row.by === 'target agent' ? (own as TargetState) : to;
  return {
    ...(sourceState ? { sourceAgent: { state: sourceState } } : {}),
    ...(targetState ? { targetAgent: { state: targetState } } : {}),
  };
}

function metadataOf({ given }: Row): Record<string, unknown> {
  if (given?.request === 'without finalizer' || given?.expired) return { finalizers: [] };
  if (given?.request === 'deleted') return { deletionTimestamp: objects.at(1) };
  return {};
}

/** The status of a request that has ended. */
function endOf({ given }: Row): Record<string, unknown> {
  const [status, reason] = given?.finished ?? [];
  if (!status || !reason) return {};
  const failed = reason === 'Cancelled' ? reason : 'Failed';
  return {
    phase: status === 'True' ? 'Succeeded' : failed,
    conditions: [objects.succeeded(status, reason)],
    completionTime: objects.at(-1),
  };
}

function statusOf(row: Row): Record<string, unknown> {
  const [outcome, reason] = row.given?.decision ?? [];
  return {
    ...agentsOf(row),
    ...(outcome ? { decision: objects.decision(outcome, reason) } : {}),
    ...endOf(row),
    ...(row.given?.lastLook ? { deadlines: { lastLook: objects.at(0) } } : {}),
  };
}

const isNew = ({ given }: Row): boolean =>
  given?.request === 'new' || given?.request === 'without finalizer';

function targetPodOf({ given }: Row): MigrationOperatorObserved['targetPod'] {
  if (given?.targetPod === 'absent' || given?.request === 'without finalizer') return undefined;
  return objects.target('request-uid', given?.targetPod ? { metadata: { labels: {} } } : {});
}

export function migrationOf(row: Row<'MigrationRequest'>): MigrationOperatorObserved {
  const { given } = row;
  const recovery = { checkpointName: 'saved', restoreRequestName: 'again' };
  const parts = {
    metadata: metadataOf(row),
    spec: {
      ...(given?.cancel ? { cancel: true } : {}),
      ...(given?.expired ? { ttlSecondsAfterFinished: 0 } : {}),
      ...(given?.recovery ? { onSourceLoss: 'RestoreNewestCheckpoint' } : {}),
    },
  };
  const status = { ...statusOf(row), ...(given?.recovery === 'begun' ? { recovery } : {}) };
  const request: MigrationRequest = isNew(row)
    ? objects.migration(parts)
    : objects.accepted(status, parts);
  return see({
    request,
    targetPod: targetPodOf(row),
    ...(given?.sourcePod ? { sourcePod: undefined } : {}),
    checkpoints: given?.recovery ? [objects.stored()] : [],
  });
}

export function restoreOf(row: Row<'RestoreRequest'>): RestoreOperatorObserved {
  const metadata = metadataOf(row);
  const accepted = {
    startTime: objects.at(0),
    checkpointId: 'saved-uid',
    source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
    target: { nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' },
    deadlines: { prepare: objects.at(300) },
  };
  const status = isNew(row) ? undefined : { ...accepted, ...statusOf(row) };
  const spec = row.given?.expired ? { ttlSecondsAfterFinished: 0 } : {};
  const request: RestoreRequest = objects.restore({ metadata, spec, status });
  return {
    request,
    checkpoint: objects.stored(),
    targetPod: targetPodOf(row),
    podName: 'p-reque',
    nodes: [objects.node('a'), objects.node('b')],
    load: new Map(),
    identity: { keepsDevice: true },
  };
}

export function checkpointOf(row: Row<'CheckpointRequest'>): CheckpointOperatorObserved {
  const { given } = row;
  const state =
    row.by === 'checkpoint agent' ? both(row.state).at(-1) : (given?.checkpoint ?? 'Waiting');
  const accepted = {
    startTime: objects.at(0),
    nodeName: 'a',
    podUID: 'pod-uid',
    deadline: objects.at(100),
    agent: { state },
  };
  const metadata = metadataOf(row);
  const request: CheckpointRequest = given?.finished
    ? objects.stored({}, { metadata, spec: { retention: { ttlSeconds: 1 } } })
    : objects.checkpoint({ metadata, status: isNew(row) ? undefined : accepted });
  return {
    request,
    pod: objects.pod(),
    template: { metadata: { labels: {}, annotations: {} }, spec: { containers: [] } },
    others: [],
    nodes: [objects.node('a')],
    inUse: false,
    newer: 0,
  };
}

/** How a row is called in a list of tests. */
export const nameOf = (row: Row<Kind>): string => `${row.by}: ${row.effect ?? '–'}, ${row.step}`;

/** Every row of the table with its kind of request and its name. */
export const namedRows = protocol.flatMap(({ kind, rows }) =>
  rows.map((row: Row) => [kind, nameOf(row), row] as const),
);

// SPDX-License-Identifier: Apache-2.0
// For the test of the table: what operator and agents observe in a row, and no more than that.
import {
  annotations,
  type CheckpointRequest,
  type MigrationRequest,
  type RestoreRequest,
  type SourceState,
  type TargetState,
} from '../crds/src/index.ts';
import type { CheckpointObserved } from '../node-agent/src/reconcilers/checkpoint/decide.ts';
import type { ImageSenderObserved } from '../node-agent/src/reconcilers/image-sender/reconciler.ts';
import type { SourceObserved } from '../node-agent/src/reconcilers/source/decide.ts';
import type { TargetObserved } from '../node-agent/src/reconcilers/target/decide.ts';
import { failureFields } from '../node-agent/src/support/errors.ts';
import type { Observed as CheckpointOperatorObserved } from '../operator/src/checkpoint/types.ts';
import type { Observed as MigrationOperatorObserved } from '../operator/src/migration/types.ts';
import type { Observed as RestoreOperatorObserved } from '../operator/src/restore/types.ts';
import { see } from '../operator/testing/migration.ts';
import * as objects from '../operator/testing/objects.ts';
import { abandonMs } from '../operator/src/checkpoint/decide.ts';
import { lowestCost } from '../operator/src/target-pod/controllers.ts';
import { namespaceOwner } from '../operator/src/target-pod/ownership.ts';
import { defaultLimits } from '../operator/src/moves/limits.ts';
import { protocol } from './protocol.ts';
import type { Given, Kind, Row } from './steps/row.ts';
import { both } from './steps/row.ts';

export const NOW = objects.NOW;
/** Of requests that have finished; the others do without. */
const finished = { since: NOW - 10_000 };

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
  passing: false,
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
    ...(sourceState
      ? {
          sourceAgent: {
            state: sourceState,
            ...stepsOf(row),
            ...inspectionOf(row),
            ...needOf(row),
          },
        }
      : {}),
    ...(targetState ? { targetAgent: { state: targetState, ...refusalOf(row) } } : {}),
  };
}

/** A source that was locked has begun its first step. */
const stepsOf = (row: Row): object =>
  !('found' in row) || row.found === undefined || row.found === 'none'
    ? {}
    : { steps: [{ name: 'hold', startTime: objects.at(-1) }] };

const inspectionOf = ({ given }: Row): object =>
  given?.dryRun ? { inspection: { findings: [], objects: { qp: 1, mr: 1 } } } : {};

const needOf = ({ given }: Row): object =>
  given?.memory === undefined || given.memory === 'not known yet' ? {} : { memory: { bytes: 1 } };

const refusalOf = ({ given }: Row): object =>
  given?.targetRefuses
    ? { reason: 'NotEnoughMemory', message: 'Too little.', refuses: 'target-uid' }
    : {};

/** Of every node. */
function memoryOf({ given }: Row): Partial<MigrationOperatorObserved> {
  if (given?.memory === undefined) return {};
  const available = given.memory === 'lacking' ? 0 : 2 ** 40;
  const has = { available, hugePages: new Map<number, number>(), keepsImages: false };
  return { memory: { of: () => has, taken: () => 0 } };
}

/** Of a request whose target is not created yet. */
const unmade = ({ given }: Row): Record<string, unknown> =>
  given?.memory === undefined ? {} : { target: { nodeName: 'b', podName: 'p-reque' } };

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
    ...triedOf(row),
    ...unmade(row),
    ...controllerOf(row),
    ...(row.given?.lastLook ? { deadlines: { lastLook: objects.at(0) } } : {}),
  };
}

const isNew = ({ given }: Row): boolean =>
  given?.request === 'new' ||
  given?.request === 'invalid' ||
  given?.request === 'without finalizer';

function targetPodOf({ given }: Row): MigrationOperatorObserved['targetPod'] {
  if (given?.targetPod === 'absent' || given?.request === 'without finalizer') return undefined;
  const isMember = given?.member === 'both' || given?.member === 'target';
  const ownerReferences = isMember ? [controller] : [namespace];
  const isAllowed = given?.targetPod === 'allowed' || given?.targetPod === 'ready';
  const parts = {
    metadata: { ownerReferences, ...(isAllowed ? { labels: {} } : {}) },
    ...(given?.targetPod === 'unschedulable'
      ? { spec: { nodeName: '' }, status: { conditions: [noRoom] } }
      : {}),
    ...(given?.targetPod === 'ready'
      ? { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }
      : {}),
  };
  return objects.target('request-uid', parts);
}

const controller = { apiVersion: 'x/v1', kind: 'Set', name: 's', uid: 'set-uid', controller: true };
const namespace = namespaceOwner('default', 'namespace-uid');

/** A source with a controller. */
function sourcePodOf({ given }: Row): MigrationOperatorObserved['sourcePod'] {
  const cost = { [annotations.deletionCost]: String(lowestCost) };
  return objects.pod({
    metadata: {
      ownerReferences: given?.member === 'target' ? [namespace] : [controller],
      annotations: given?.member === 'retired' ? cost : {},
    },
  });
}

const seenOfController = (row: Row): Partial<MigrationOperatorObserved> => ({
  ...(row.given?.controller ? { sourcePod: sourcePodOf(row) } : {}),
  ...(row.given?.controller === 'ByName' ? { nameTrial: 'reserved' } : {}),
  ...(row.given?.controllerFinished ? { controller: 'finished' } : {}),
});

/** The status of a request for such a source. */
const controllerOf = ({ given }: Row): Record<string, unknown> =>
  given?.controller
    ? {
        source: {
          ...accepted.source,
          controller: { ...reference, ...kindOf(given), handover: given.controller },
          ...(given.standsIn ? { standsInFor: 'set-0' } : {}),
        },
      }
    : {};
const { controller: _isController, ...reference } = controller;
const kindOf = (given: Row['given']): object =>
  given?.controller === 'ByName' ? { apiVersion: 'apps/v1', kind: 'StatefulSet' } : {};
const accepted = { source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' } };

/** As the scheduler writes it. */
const noRoom = {
  type: 'PodScheduled',
  status: 'False',
  reason: 'Unschedulable',
  message: '0/3 nodes are available.',
  lastTransitionTime: objects.at(-60),
};

/** The status of a request whose first node had no room for the target. */
function triedOf({ given }: Row): Record<string, unknown> {
  if (!given?.targetNode) return {};
  const tried = { podUID: 'target-uid', reason: 'TargetUnschedulable', message: noRoom.message };
  return {
    triedNodes: [{ nodeName: 'b', ...tried }],
    ...(given.targetNode === 'next' ? { target: { nodeName: 'c', podName: 'p-reque' } } : {}),
  };
}

const hasThird = (given: Row['given']): boolean =>
  given?.controller === 'ByName' && !given.noOtherNode;

/** Two nodes, and a third one where the first may have no room. */
const nodesOf = ({ given }: Row): MigrationOperatorObserved['nodes'] =>
  [
    ...(given?.noOtherNode && !given.targetRefuses ? ['b'] : ['a', 'b']),
    ...(given?.targetPod === 'unschedulable' ||
    given?.targetNode ||
    (given?.targetRefuses && !given.noOtherNode) ||
    hasThird(given)
      ? ['c']
      : []),
  ].map((name) => objects.node(name));

const fullMoves: MigrationOperatorObserved['moves'] = {
  limits: defaultLimits,
  underWay: { total: defaultLimits.cluster, out: new Map(), into: new Map() },
  position: 1,
  older: [],
};

export function migrationOf(row: Row<'MigrationRequest'>): MigrationOperatorObserved {
  const { given } = row;
  const recovery = { checkpointName: 'saved', restoreRequestName: 'again' };
  const parts = {
    metadata: metadataOf(row),
    spec: {
      ...(given?.cancel ? { cancel: true } : {}),
      ...(given?.dryRun ? { dryRun: true } : {}),
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
    unschedulableMs: 60_000,
    nodes: nodesOf(row),
    ...memoryOf(row),
    ...seenOfController(row),
    ...(given?.sourcePod || given?.request === 'invalid' ? { sourcePod: undefined } : {}),
    ...(given?.moves ? { moves: fullMoves } : {}),
    checkpoints: given?.recovery ? [objects.stored()] : [],
  });
}

export function restoreOf(row: Row<'RestoreRequest'>): RestoreOperatorObserved {
  const metadata = {
    ...metadataOf(row),
    ...(row.given?.cancel ? { deletionTimestamp: objects.at(1) } : {}),
  };
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
    checkpoint: row.given?.request === 'invalid' ? undefined : objects.stored(),
    targetPod: targetPodOf(row),
    podName: 'p-reque',
    unschedulableMs: 60_000,
    nodes: nodesOf(row),
    load: new Map(),
    finished,
    identity: { keepsDevice: true },
  };
}

/** Why images are still there, by what keeps them. */
const keptImages: Readonly<Record<string, string>> = {
  'missing for long': 'NodeUnavailable',
  'fails for long': 'ImagesNotRemoved',
};

/** The conditions of a checkpoint that has succeeded, as the operator has written them before. */
function endedConditionsOf({ imageAgent, restorable }: Given): object[] {
  const condition = (type: string, reason: string, seconds: number): object => ({
    ...{ type, status: 'False', reason, message: '', lastTransitionTime: objects.at(seconds) },
  });
  return [
    objects.succeeded('True', 'CheckpointStored'),
    ...(restorable ? [condition('Restorable', 'ImageKeyMissing', -1)] : []),
    ...(imageAgent?.endsWith('for long')
      ? [condition('ImagesRemoved', keptImages[imageAgent] ?? '', -abandonMs / 1000)]
      : []),
  ];
}

export function checkpointOf(row: Row<'CheckpointRequest'>): CheckpointOperatorObserved {
  const { given } = row;
  const state =
    row.by === 'checkpoint agent' ? both(row.state).at(-1) : (given?.checkpoint ?? 'Waiting');
  const keyProblem = row.by === 'checkpoint agent' ? row.observed?.keyProblem : undefined;
  const fails = given?.imageAgent?.startsWith('fails');
  const notRemoved = fails ? { notRemoved: 'The disk is read-only.' } : {};
  const agent = { state, ...failureFields(keyProblem), ...notRemoved };
  const accepted = {
    startTime: objects.at(0),
    nodeName: 'a',
    podUID: 'pod-uid',
    deadline: objects.at(100),
    agent,
  };
  const metadata = metadataOf(row);
  const spec = given?.expired ? { retention: { ttlSeconds: 1 } } : {};
  const request: CheckpointRequest = given?.finished
    ? objects.stored({ agent, conditions: endedConditionsOf(given) }, { metadata, spec })
    : objects.checkpoint({ metadata, status: isNew(row) ? undefined : accepted });
  return {
    request,
    pod: given?.request === 'invalid' ? undefined : objects.pod(),
    nodeTime: objects.NOW,
    template: { metadata: { labels: {}, annotations: {} }, spec: { containers: [] } },
    others: [],
    nodes: [objects.node('a', given?.imageAgent?.startsWith('missing') ? { address: null } : {})],
    finished,
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

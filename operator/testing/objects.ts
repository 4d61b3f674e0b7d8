// SPDX-License-Identifier: Apache-2.0
// Objects for tests, parsed by the schemas that the operator reads with.
import {
  annotations,
  CheckpointRequest,
  labels,
  MigrationRequest,
  podConditions,
  RestoreRequest,
  RUNTIME_CLASS,
  finalizers,
} from '../../crds/src/index.ts';
import { Node, Pod } from '../../kube/src/index.ts';

type Json = Record<string, unknown>;

/** The time in all tables. */
export const NOW = Date.parse('2026-03-04T05:06:07Z');
export const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

/** A node on which Sealift works; `overrides` replace parts of its metadata, spec and status. */
export function node(
  name: string,
  overrides: {
    abi?: string | null;
    address?: null;
    ready?: boolean;
    cordoned?: boolean;
    cpu?: string;
    vectors?: string;
    modules?: string;
  } = {},
): Node {
  const {
    abi = 'rxe-1',
    address,
    ready = true,
    cordoned = false,
    cpu,
    vectors,
    modules,
  } = overrides;
  return Node.parse({
    metadata: {
      name,
      labels: abi === null ? {} : { [labels.driverAbi]: abi },
      annotations: {
        ...(address === null ? {} : { [annotations.agentAddress]: `${name}:7461` }),
        ...(cpu !== undefined && { [annotations.cpuFeatures]: cpu }),
        ...(vectors !== undefined && { [annotations.completionVectors]: vectors }),
        ...(modules !== undefined && { [annotations.securityModules]: modules }),
      },
    },
    spec: { unschedulable: cordoned },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'Unknown' }] },
  });
}

export interface PodParts {
  readonly metadata?: Json;
  readonly spec?: Json;
  readonly status?: Json;
}

/** A pod that can be migrated: `p` on node `a`, one running container. */
export function pod(parts: PodParts = {}): Pod {
  return Pod.parse({
    metadata: { name: 'p', namespace: 'default', uid: 'pod-uid', ...parts.metadata },
    spec: {
      nodeName: 'a',
      runtimeClassName: RUNTIME_CLASS,
      containers: [{ name: 'main' }],
      ...parts.spec,
    },
    status: {
      phase: 'Running',
      containerStatuses: [container({ running: {} }, { ready: true, started: true })],
      ...parts.status,
    },
  });
}

export const container = (state: Json, more: Json = {}): Json => ({ name: 'main', state, ...more });

/**
 * The target pod of a request, being prepared on node `b`. Services may select one whose labels are given without the role, if
 * its conditions do not say otherwise.
 */
export function target(requestUid: string, parts: PodParts = {}): Pod {
  const { labels: given } = parts.metadata ?? {};
  const { conditions = [] } = (parts.status ?? {}) as { conditions?: readonly { type: string }[] };
  const committed = { type: podConditions.committed, status: 'True' };
  const isAllowed = given !== undefined && (given as Json)[labels.role] === undefined;
  const isSaid = conditions.some(({ type }) => type === committed.type);
  return pod({
    metadata: {
      name: 'p-reque',
      uid: 'target-uid',
      labels: { app: 'x', [labels.role]: 'target' },
      annotations: {
        [annotations.requestUid]: requestUid,
        [annotations.migration]: 'default/move',
      },
      ...parts.metadata,
    },
    spec: { nodeName: 'b', ...parts.spec },
    status: {
      phase: 'Pending',
      containerStatuses: [container({ waiting: { reason: 'ContainerCreating' } })],
      ...parts.status,
      conditions: isAllowed && !isSaid ? [...conditions, committed] : conditions,
    },
  });
}

export interface RequestParts {
  readonly metadata?: Json;
  readonly spec?: Json;
  readonly status?: Json | undefined;
}

const metadata = (name: string, parts: RequestParts): Json => ({
  name,
  namespace: 'default',
  uid: 'request-uid',
  generation: 1,
  creationTimestamp: at(-1),
  finalizers: [finalizers.active],
  ...parts.metadata,
});

export function migration(parts: RequestParts = {}): MigrationRequest {
  return MigrationRequest.parse({
    metadata: metadata('move', parts),
    spec: { podName: 'p', ...parts.spec },
    ...(parts.status ? { status: parts.status } : {}),
  });
}

/** Accepted: from `a` to `b`, nothing reported by the agents yet. */
export function accepted(status: Json = {}, parts: RequestParts = {}): MigrationRequest {
  return migration({
    ...parts,
    status: {
      startTime: at(0),
      source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
      target: { nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' },
      deadlines: { prepare: at(300) },
      ...status,
    },
  });
}

export function checkpoint(parts: RequestParts = {}): CheckpointRequest {
  return CheckpointRequest.parse({
    metadata: { ...metadata('saved', parts), finalizers: [finalizers.images], ...parts.metadata },
    spec: { podName: 'p', ...parts.spec },
    ...(parts.status ? { status: parts.status } : {}),
  });
}

/** Succeeded: the images are on node `a`. */
export function stored(status: Json = {}, parts: RequestParts = {}): CheckpointRequest {
  return checkpoint({
    ...parts,
    metadata: { uid: 'saved-uid', ...parts.metadata },
    status: {
      phase: 'Succeeded',
      nodeName: 'a',
      podUID: 'pod-uid',
      checkpointId: 'saved-uid',
      completionTime: at(-10),
      digest: 'sha256:1',
      podTemplate: {
        metadata: { labels: { app: 'x' }, annotations: {} },
        spec: { runtimeClassName: RUNTIME_CLASS, containers: [{ name: 'main' }] },
      },
      conditions: [succeeded('True', 'CheckpointStored')],
      ...status,
    },
  });
}

export function restore(parts: RequestParts = {}): RestoreRequest {
  return RestoreRequest.parse({
    metadata: metadata('again', parts),
    spec: { checkpointName: 'saved', ...parts.spec },
    ...(parts.status ? { status: parts.status } : {}),
  });
}

export const succeeded = (status: 'True' | 'False' | 'Unknown', reason: string): Json => ({
  type: 'Succeeded',
  status,
  reason,
  message: '',
  lastTransitionTime: at(-10),
});

/** A decision as an agent or the operator writes it. */
export const decision = (outcome: 'Committed' | 'Aborted', reason: string = outcome): Json => ({
  outcome,
  by: outcome === 'Committed' ? 'agent/b' : 'operator',
  time: at(10),
  reason,
  message: `because of ${reason}`,
});

/** `status reason` of each condition by type, for short expectations. */
export function conditionsOf(
  conditions: readonly { type: string; status: string; reason: string }[] | undefined,
): Record<string, string> {
  return Object.fromEntries(
    (conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]),
  );
}

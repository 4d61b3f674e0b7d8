// SPDX-License-Identifier: Apache-2.0
// The pod that is created to take over from another one. Pure.
import { annotations, labels } from '../../../crds/src/index.ts';

type Json = Record<string, unknown>;

/** A pod as the API server gives it, as far as it is looked into here. */
export interface RawPod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec: Json;
}

export interface Template {
  readonly metadata: {
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
  };
  readonly spec: Json;
}

export interface TargetOptions {
  readonly name: string;
  readonly namespace: string;
  readonly nodeName: string;
  readonly requestUid: string;
  /** `migration` or `restore`, and `<namespace>/<request>`. */
  readonly marker: { readonly key: 'migration' | 'restore'; readonly value: string };
  /** Value of the networks annotation; undefined: none. */
  readonly networks: string | undefined;
}

/** Annotations that describe one pod on one node, or an earlier move. */
const notCopied = new Set<string>([
  annotations.networks,
  annotations.networkStatus,
  annotations.migration,
  annotations.restore,
  annotations.requestUid,
  annotations.labels,
  'kubectl.kubernetes.io/last-applied-configuration',
]);

/** `<base>-<5 hex digits of the request's uid>`: the same request always gives the same name. */
export function targetName(source: RawName, requestUid: string): string {
  const suffix = requestUid.replaceAll('-', '').slice(0, 5);
  const moved = source.metadata.annotations?.[annotations.requestUid] !== undefined;
  const base = moved ? source.metadata.name.replace(/-[0-9a-f]{5}$/, '') : source.metadata.name;
  return `${base.slice(0, 57).replace(/[^a-z0-9]+$/, '')}-${suffix}`;
}
type RawName = {
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
};

/** The rxe device's name: the annotation's, else made of the pod's uid as the agent does. */
export function rdmaDevice(pod: Pick<RawPod, 'metadata'>): string {
  return (
    pod.metadata.annotations?.[annotations.rdmaDevice] ??
    `rxe${pod.metadata.uid.replaceAll('-', '').slice(0, 10)}`
  );
}

/**
 * What of a pod is worth keeping: everything that the user asked for, nothing that admission, the
 * scheduler or a node has added and will add again.
 */
export function templateOf(pod: RawPod): Template {
  const kept = Object.entries(pod.metadata.annotations ?? {}).filter(
    ([key]) => !notCopied.has(key),
  );
  const networks = pod.metadata.annotations?.[annotations.networks];
  const { [labels.role]: _role, ...own } = pod.metadata.labels ?? {};
  return {
    metadata: {
      labels: own,
      annotations: {
        ...Object.fromEntries(kept),
        ...(networks !== undefined ? { [annotations.networks]: networks } : {}),
        [annotations.rdmaDevice]: rdmaDevice(pod),
      },
    },
    spec: templateSpec(pod),
  };
}

function templateSpec(pod: RawPod): Json {
  const {
    nodeName: _node,
    initContainers,
    ephemeralContainers: _ephemeral,
    priority: _priority,
    preemptionPolicy: _preemption,
    overhead: _overhead,
    ...spec
  } = structuredClone(pod.spec);
  const tokens = new Set(
    list(spec['volumes'])
      .map((volume) => String(volume['name']))
      .filter((name) => name.startsWith('kube-api-access-')),
  );
  const volumes = list(spec['volumes']).filter((volume) => !tokens.has(String(volume['name'])));
  // Init containers have run; sidecars go on, and are started in the same order.
  const sidecars = list(initContainers).filter((one) => one['restartPolicy'] === 'Always');
  const containers = list(spec['containers']);
  const last = containers.at(-1);
  const made = (container: Json): Json => templateContainer(container, tokens, container === last);
  return {
    ...spec,
    volumes,
    ...(sidecars.length > 0 ? { initContainers: sidecars.map(made) } : {}),
    containers: containers.map(made),
    // A process may have read its host name, which is the pod's name unless said otherwise.
    hostname:
      typeof spec['hostname'] === 'string'
        ? spec['hostname']
        : pod.metadata.name
            .slice(0, 63)
            .replace(/[^a-z0-9]+$/, '')
            .replaceAll('.', '-'),
  };
}

function templateContainer(container: Json, tokens: ReadonlySet<string>, isLast: boolean): Json {
  const mounts = list(container['volumeMounts']).filter(
    (mount) => !tokens.has(String(mount['name'])),
  );
  const out: Json = { ...(isLast ? container : waiting(container)), volumeMounts: mounts };
  // What runs once at the start has run.
  const lifecycle = container['lifecycle'] as Json | undefined;
  if (lifecycle) {
    const { postStart: _postStart, ...rest } = lifecycle;
    out['lifecycle'] = rest;
  }
  return out;
}

/** As long as a start may take. */
const gateSeconds = 120;

/**
 * A container that is not the last to be started waits for the others, silent, while the kubelet takes it for running.
 * That long no probe may end it (one that runs a program in it is not answered, which counts for nothing), and nobody
 * may wait for its startup probe, which has passed.
 */
function waiting(container: Json): Json {
  const { startupProbe: _startup, ...kept } = container;
  const liveness = kept['livenessProbe'] as Json | undefined;
  if (!liveness || liveness['exec'] !== undefined) return kept;
  const delay = Math.max(Number(liveness['initialDelaySeconds'] ?? 0), gateSeconds);
  return { ...kept, livenessProbe: { ...liveness, initialDelaySeconds: delay } };
}

/** @returns the manifest. Its own labels come later: no service may find it before the decision. */
export function targetPod(template: Template, options: TargetOptions): Json {
  const { networks } = options;
  const kept = Object.entries(template.metadata.annotations).filter(([key]) => !notCopied.has(key));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: options.name,
      namespace: options.namespace,
      labels: { [labels.role]: 'target' },
      annotations: {
        ...Object.fromEntries(kept),
        [annotations[options.marker.key]]: options.marker.value,
        [annotations.requestUid]: options.requestUid,
        [annotations.labels]: JSON.stringify(template.metadata.labels),
        ...(networks !== undefined ? { [annotations.networks]: networks } : {}),
      },
    },
    spec: pin(template.spec, options.nodeName),
  };
}

/**
 * Pins by affinity, not by nodeName, so that the scheduler still checks whether there is room.
 * Earlier pins to a single node go: moving is what was asked for.
 */
function pin(spec: Json, nodeName: string): Json {
  const { nodeSelector, affinity, ...rest } = structuredClone(spec) as {
    nodeSelector?: Record<string, string>;
    affinity?: { nodeAffinity?: NodeAffinity } & Json;
  } & Json;
  const { 'kubernetes.io/hostname': _host, ...selector } = nodeSelector ?? {};
  const { requiredDuringSchedulingIgnoredDuringExecution: required, ...preferred } =
    affinity?.nodeAffinity ?? {};
  const terms = (required?.nodeSelectorTerms ?? []).map((term) => ({
    ...term,
    ...(term.matchExpressions
      ? {
          matchExpressions: term.matchExpressions.filter(
            (one) => one.key !== 'kubernetes.io/hostname',
          ),
        }
      : {}),
    matchFields: [byName(nodeName)],
  }));
  return {
    ...rest,
    ...(Object.keys(selector).length > 0 ? { nodeSelector: selector } : {}),
    affinity: {
      ...affinity,
      nodeAffinity: {
        ...preferred,
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: terms.length > 0 ? terms : [{ matchFields: [byName(nodeName)] }],
        },
      },
    },
  };
}

interface NodeAffinity extends Json {
  requiredDuringSchedulingIgnoredDuringExecution?: {
    nodeSelectorTerms: { matchExpressions?: { key: string }[]; matchFields?: unknown[] }[];
  };
}

const byName = (node: string): Json => ({ key: 'metadata.name', operator: 'In', values: [node] });

/** The labels that a target pod gets once the decision is Committed, as a merge patch. */
export function finalLabels(pod: {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
}): Record<string, string | null> {
  return { ...parseLabels(pod.metadata.annotations[annotations.labels]), [labels.role]: null };
}

/** What is no map of strings (somebody has edited the pod) must not keep the move from ending. */
function parseLabels(text: string | undefined): Record<string, string> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    const entries = Object.entries(value ?? {}) as [string, unknown][];
    return Object.fromEntries(
      entries.filter((one): one is [string, string] => typeof one[1] === 'string'),
    );
  } catch {
    return {};
  }
}

function list(value: unknown): Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}

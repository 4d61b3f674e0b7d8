// SPDX-License-Identifier: Apache-2.0
// The manifest of the pod that takes over from another one. Pure.
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';

import type { OwnerReference } from '../../../kube/src/index.ts';
import { freeSelector, freeTerms, withoutNames, type Host } from '../host-pins.ts';
import { pinImage, runningImages, type RunningImages } from './container-images.ts';
import { hostNameFields } from './host-name.ts';
import { namespaceOwner } from './ownership.ts';

type Json = Record<string, unknown>;

/** A pod as the API server returns it; the fields that are read here. */
export interface RawPod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
    readonly ownerReferences?: readonly OwnerReference[];
  };
  readonly spec: Json;
  readonly status?: RunningImages;
}

export interface Template {
  readonly metadata: {
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
    /** Owners that are no controller. */
    readonly ownerReferences?: readonly OwnerReference[];
  };
  readonly spec: Json;
}

export interface TargetOptions {
  readonly name: string;
  readonly namespace: string;
  /** The scheduler chooses among them. */
  readonly nodeNames: readonly string[];
  /** The node that the source runs on, or did when its checkpoint was taken. */
  readonly source: Host;
  readonly requestUid: string;
  /** UID of the namespace's object. */
  readonly namespaceUid: string;
  /** `migration` or `restore`, and `<namespace>/<request>`. */
  readonly marker: { readonly key: 'migration' | 'restore'; readonly value: string };
  /** Value of the networks annotation; undefined: none. */
  readonly networks: string | undefined;
  /** The addresses that it asks for, without prefix lengths. */
  readonly fabricIps: readonly string[];
  /** Addresses in the cluster's network that the pod keeps, and by which network, `<namespace>/<name>`; undefined: none. */
  readonly kept?: { readonly network: string; readonly addresses: readonly string[] } | undefined;
}

/** Annotations that describe one pod on one node, or an earlier request. */
const notCopied = new Set<string>([
  annotations.networks,
  annotations.networkStatus,
  annotations.migration,
  annotations.restore,
  annotations.requestUid,
  annotations.podIp,
  annotations.fabricIp,
  'kubectl.kubernetes.io/last-applied-configuration',
]);

/**
 * `<base>-<5 hex digits of the request's UID>`: the same request always gives the same name. The suffix of the request
 * that created the source goes; an ending of the pod's own stays, whatever it looks like.
 */
export function targetName(source: RawName, requestUid: string): string {
  const { name, annotations: made } = source.metadata;
  const earlier = made?.[annotations.requestUid];
  const ending = earlier === undefined ? undefined : suffixOf(earlier);
  const base = ending !== undefined && name.endsWith(ending) ? name.slice(0, -ending.length) : name;
  return `${base.slice(0, 57).replace(/[^a-z0-9]+$/, '')}${suffixOf(requestUid)}`;
}
const suffixOf = (requestUid: string): string => `-${requestUid.replaceAll('-', '').slice(0, 5)}`;
type RawName = {
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
};

/** The rxe device's name: the annotation's, else derived from the pod's UID as the agent does. */
export function rdmaDevice(pod: Pick<RawPod, 'metadata'>): string {
  return (
    pod.metadata.annotations?.[annotations.rdmaDevice] ??
    `rxe${pod.metadata.uid.replaceAll('-', '').slice(0, 10)}`
  );
}

/**
 * The part of a pod that its target is created with: what the user asked for, without what admission, the scheduler or
 * a node has added and adds again.
 */
export function templateOf(pod: RawPod): Template {
  const {
    [labels.role]: _role,
    [labels.podIp]: keptIp,
    [labels.fabricIp]: _fabricIp,
    ...own
  } = pod.metadata.labels ?? {};
  // The network of a pod that has kept its address is of Sealift, another one is the user's.
  const isOwn = (key: string): boolean =>
    keptIp === undefined || key !== annotations.defaultNetwork;
  const kept = Object.entries(pod.metadata.annotations ?? {}).filter(
    ([key]) => !notCopied.has(key) && isOwn(key),
  );
  const networks = pod.metadata.annotations?.[annotations.networks];
  return {
    metadata: {
      labels: own,
      annotations: {
        ...Object.fromEntries(kept),
        ...(networks !== undefined ? { [annotations.networks]: networks } : {}),
        [annotations.rdmaDevice]: rdmaDevice(pod),
      },
      ownerReferences: (pod.metadata.ownerReferences ?? []).filter((one) => !one.controller),
    },
    spec: isTarget(pod) ? withoutPlacement(templateSpec(pod)) : templateSpec(pod),
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
  // Init containers have run. Sidecars run beside the others, and start in the same order.
  const sidecars = list(initContainers).filter((one) => one['restartPolicy'] === 'Always');
  const containers = list(spec['containers']);
  const images = runningImages(pod.status);
  const template = (container: Json): Json => ({
    ...templateContainer(container, tokens),
    ...pinned(container, images),
  });
  return {
    ...spec,
    volumes,
    ...(sidecars.length > 0 ? { initContainers: sidecars.map(template) } : {}),
    containers: containers.map(template),
    // A process may have read its host name: the pod's name, unless the spec sets another.
    ...hostNameFields(pod.metadata.name, spec),
  };
}

function pinned(container: Json, images: ReadonlyMap<string, string>): Json {
  const { image, name } = container;
  return typeof image === 'string' ? { image: pinImage(image, images.get(String(name))) } : {};
}

function templateContainer(container: Json, tokens: ReadonlySet<string>): Json {
  const mounts = list(container['volumeMounts']).filter(
    (mount) => !tokens.has(String(mount['name'])),
  );
  const out: Json = {
    ...withoutEarlyProbes(container),
    volumeMounts: mounts,
  };
  // A postStart hook runs once, and has run.
  const lifecycle = container['lifecycle'] as Json | undefined;
  if (lifecycle) {
    const { postStart: _postStart, ...rest } = lifecycle;
    out['lifecycle'] = rest;
  }
  return out;
}

/** How long a container may stand frozen at its resume gate. The blackout's deadline is shorter. */
const gateSeconds = 120;

/**
 * A container stands at its resume gate while the kubelet takes it for running. Until then no liveness probe may end it:
 * the agent answers those over the network, but an agent may restart. A probe that runs a program in the container fails
 * without effect, so it may stay. The startup probe has passed on the source, and the next container would wait for it.
 */
function withoutEarlyProbes(container: Json): Json {
  const { startupProbe: _startup, ...kept } = container;
  const liveness = kept['livenessProbe'] as Json | undefined;
  if (!liveness || liveness['exec'] !== undefined) return kept;
  const delay = Math.max(Number(liveness['initialDelaySeconds'] ?? 0), gateSeconds);
  return { ...kept, livenessProbe: { ...liveness, initialDelaySeconds: delay } };
}

/**
 * @returns the manifest. Policies and admission see the pod's labels from its creation on; the readiness gate keeps
 * Services away, and the owner other controllers: docs/adr/0013.
 */
export function targetPod(template: Template, options: TargetOptions): Json {
  const { networks, fabricIps, namespace, kept: keptIp } = options;
  const { metadata, spec } = template;
  const kept = Object.entries(metadata.annotations).filter(([key]) => !notCopied.has(key));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: options.name,
      namespace,
      labels: {
        ...metadata.labels,
        [labels.role]: 'target',
        ...(keptIp ? { [labels.podIp]: 'kept' } : {}),
        ...(fabricIps.length > 0 ? { [labels.fabricIp]: 'kept' } : {}),
      },
      annotations: {
        ...Object.fromEntries(kept),
        [annotations[options.marker.key]]: options.marker.value,
        [annotations.requestUid]: options.requestUid,
        ...(networks !== undefined ? { [annotations.networks]: networks } : {}),
        ...(fabricIps.length > 0 ? { [annotations.fabricIp]: fabricIps.join(',') } : {}),
        ...(keptIp && {
          [annotations.defaultNetwork]: keptIp.network,
          [annotations.podIp]: keptIp.addresses.join(','),
        }),
      },
      ownerReferences: [
        namespaceOwner(namespace, options.namespaceUid),
        ...(metadata.ownerReferences ?? []),
      ],
    },
    spec: { ...pin(spec, options), readinessGates: withGate(spec) },
  };
}

/** A pod that was moved before has the gate already. */
function withGate(spec: Json): Json[] {
  const { committed } = podConditions;
  const others = list(spec['readinessGates']).filter((one) => one['conditionType'] !== committed);
  return [...others, { conditionType: committed }];
}

/**
 * Narrows the pod's nodes by affinity, so that the scheduler chooses: it knows room, priorities, and what pods ask of each other.
 * Terms are alternatives, and a field takes one value: each of the user's terms is there once for each node, whose name
 * comes last (`withoutNames`). Pins to the source's node are dropped: the request is to leave it.
 */
function pin(spec: Json, { nodeNames, source }: TargetOptions): Json {
  const { nodeSelector, affinity, ...rest } = structuredClone(spec) as {
    nodeSelector?: Record<string, string>;
    affinity?: { nodeAffinity?: NodeAffinity } & Json;
  } & Json;
  const selector = freeSelector(nodeSelector ?? {}, source);
  const { requiredDuringSchedulingIgnoredDuringExecution: required, ...preferred } =
    affinity?.nodeAffinity ?? {};
  const free = freeTerms(required?.nodeSelectorTerms ?? [], source);
  const own = free.length > 0 ? free : [{}];
  const terms = own.flatMap((term: NodeTerm) =>
    nodeNames.map((name) => ({
      ...term,
      matchFields: [...(term.matchFields ?? []), byName(name)],
    })),
  );
  return {
    ...rest,
    ...(Object.keys(selector).length > 0 ? { nodeSelector: selector } : {}),
    affinity: {
      ...affinity,
      nodeAffinity: {
        ...preferred,
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: terms,
        },
      },
    },
  };
}

/** Whether a request has made the pod. */
const isTarget = ({ metadata }: RawPod): boolean =>
  metadata.annotations?.[annotations.requestUid] !== undefined;

/** Without the nodes that the request that made the pod has let the scheduler choose from. */
function withoutPlacement(spec: Json): Json {
  const { affinity, ...rest } = spec as { affinity?: { nodeAffinity?: NodeAffinity } & Json };
  const { requiredDuringSchedulingIgnoredDuringExecution: required, ...preferred } =
    affinity?.nodeAffinity ?? {};
  if (!required) return spec;
  const nodeSelectorTerms = withoutNames(required.nodeSelectorTerms);
  const requiring = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
  const nodeAffinity = { ...preferred, ...(nodeSelectorTerms.length > 0 ? requiring : {}) };
  return { ...rest, affinity: { ...affinity, nodeAffinity } };
}

type Requirement = { key: string; operator: string; values?: string[] };
interface NodeAffinity extends Json {
  requiredDuringSchedulingIgnoredDuringExecution?: {
    nodeSelectorTerms: NodeTerm[];
  };
}
type NodeTerm = { matchExpressions?: Requirement[]; matchFields?: Requirement[] };

const byName = (node: string): Requirement => ({
  key: 'metadata.name',
  operator: 'In',
  values: [node],
});

function list(value: unknown): Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}

// SPDX-License-Identifier: Apache-2.0
// What `doctor` looks at, from facts that facts.ts has read. Each result says what is wrong, and what to do. Pure.
import { X509Certificate } from 'node:crypto';
import {
  agentCertificate,
  agentLease,
  annotations,
  labels,
  neededBytes,
  parseNodeMemory,
  roomIn,
  RUNTIME_CLASS,
} from '../../../crds/src/index.ts';
import {
  isNodeReady,
  type CertificateSigningRequest,
  type Lease,
  type Node,
} from '../../../kube/src/index.ts';
import { size } from '../output.ts';

export interface Facts {
  readonly now: number;
  readonly nodes: readonly Node[];
  /** `handler` of the RuntimeClass; undefined: there is none. */
  readonly handler: string | undefined;
  /** Names of the CustomResourceDefinitions of Sealift that are there. */
  readonly definitions: readonly string[];
  /** Of agents, with when the API server stored the last renewal, by its own clock. */
  readonly leases: readonly { readonly lease: Lease; readonly storedAt: number | undefined }[];
  readonly certificates: readonly CertificateSigningRequest[];
  /** Whether there are NetworkAttachmentDefinitions. */
  readonly hasMultus: boolean;
  /** What could not be read, and why. */
  readonly unread: readonly string[];
}

export interface Result {
  readonly state: 'ok' | 'warning' | 'fault';
  readonly check: string;
  readonly object: string;
  readonly message: string;
}

const kinds = [
  ...['migrationrequests', 'checkpointrequests', 'restorerequests', 'migrationpolicies'],
] as const;
/** Certificates of agents live for a day, and are renewed after two thirds. */
const nearEndMs = agentCertificate.lifetimeMs * (1 - agentCertificate.renewAfter) * 0.5;
/** The API server writes times in whole seconds. */
const resolutionMs = 1000;
const skewMs = 2000;
const SKEW_FAULT_MS = 60_000;

export function examine(facts: Facts): Result[] {
  const ours = facts.nodes.filter(isOurs);
  return [
    ...facts.unread.map((message) => result('warning', 'access', 'cluster', message)),
    ...definitions(facts),
    ...runtimeClass(facts),
    ...multus(facts),
    ...(ours.length === 0 ? [noNodes()] : []),
    ...ours.flatMap((node) => nodeResults(facts, node)),
    ...pairs(ours),
  ];
}

const result = (
  state: Result['state'],
  check: string,
  object: string,
  message: string,
): Result => ({ state, check, object, message });

/** Nodes that an agent has ever spoken for. Others are no business of Sealift's. */
const isOurs = ({ metadata }: Node): boolean =>
  metadata.labels[labels.driverAbi] !== undefined ||
  metadata.labels[labels.problem] !== undefined ||
  metadata.annotations[annotations.agentAddress] !== undefined;

function definitions({ definitions: found }: Facts): Result[] {
  const missing = kinds.filter((kind) => !found.includes(`${kind}.sealift.dev`));
  const message =
    missing.length === 0
      ? 'All kinds are there.'
      : `The CustomResourceDefinitions of ${missing.join(', ')} are missing. Install the chart (helm install), or kubectl apply -f crds.`;
  return [result(missing.length === 0 ? 'ok' : 'fault', 'definitions', 'cluster', message)];
}

function runtimeClass({ handler }: Facts): Result[] {
  return [
    handler === undefined
      ? result(
          'fault',
          'runtime class',
          RUNTIME_CLASS,
          'There is no RuntimeClass sealift, so no pod can run in it. Set runtimeClass.create in the chart.',
        )
      : result('ok', 'runtime class', RUNTIME_CLASS, `Its handler is ${handler}.`),
  ];
}

function multus({ hasMultus }: Facts): Result[] {
  return [
    hasMultus
      ? result('ok', 'Multus', 'cluster', 'NetworkAttachmentDefinitions are served.')
      : result(
          'warning',
          'Multus',
          'cluster',
          'NetworkAttachmentDefinitions are not served: pods with RDMA need Multus. Install it; pods without RDMA can be moved.',
        ),
  ];
}

const noNodes = (): Result =>
  result(
    'fault',
    'nodes',
    'cluster',
    'No node has an agent of Sealift. Look at the pods of its DaemonSet, and at its nodeSelector in the chart.',
  );

function nodeResults(facts: Facts, node: Node): Result[] {
  return [
    readiness(node),
    driver(node),
    problem(node),
    ...lease(facts, node),
    memory(facts, node),
    certificate(facts, node),
    cpu(node),
    podNetwork(node),
  ].flatMap((one) => one ?? []);
}

function readiness({ metadata: { name }, ...node }: Node): Result {
  const whole = { metadata: { name }, ...node } as Node;
  if (!isNodeReady(whole)) {
    return result('fault', 'node', name, 'The node is not Ready. kubectl describe node says why.');
  }
  return node.spec.unschedulable
    ? result(
        'warning',
        'node',
        name,
        'The node is cordoned: no pod is moved to it. kubectl uncordon undoes that.',
      )
    : result('ok', 'node', name, `Ready, ${node.status.nodeInfo.containerRuntimeVersion}.`);
}

function driver({ metadata, status }: Node): Result {
  const abi = metadata.labels[labels.driverAbi];
  const kernel = status.nodeInfo.kernelVersion;
  return abi === undefined
    ? result(
        'fault',
        'driver',
        metadata.name,
        `The node has no driver of Sealift (kernel ${kernel}), or its agent is gone. See the check "agent" and the logs of the agent's pod.`,
      )
    : result('ok', 'driver', metadata.name, `ABI ${abi}, kernel ${kernel}.`);
}

/** The agent looks for runtime handler, Multus, netns mode and driver itself. */
function problem({ metadata }: Node): Result {
  const code = metadata.labels[labels.problem];
  const message = metadata.annotations[annotations.problem];
  if (code === undefined && message === undefined) {
    return result('ok', 'runtime handler', metadata.name, 'The agent misses nothing on the node.');
  }
  const state = code === 'MultusMissing' ? 'warning' : 'fault';
  return result(state, 'runtime handler', metadata.name, `${code ?? 'Problem'}: ${message ?? ''}`);
}

function lease({ leases, now }: Facts, { metadata: { name } }: Node): Result[] {
  const found = leases.find((one) => one.lease.metadata.name === agentLease.name(name));
  const renewed = Date.parse(found?.lease.spec.renewTime ?? '');
  if (!found || !Number.isFinite(renewed)) {
    const message = `The agent has no Lease ${agentLease.name(name)}. See the agent's pod on that node.`;
    return [result('fault', 'agent', name, message)];
  }
  const { storedAt } = found;
  const ageMs = now - (storedAt ?? renewed);
  const alive =
    ageMs > agentLease.durationSeconds * 1000
      ? result(
          'fault',
          'agent',
          name,
          `The agent has renewed nothing for ${Math.round(ageMs / 1000)} s. See the agent's pod on that node.`,
        )
      : result('ok', 'agent', name, `Renewed ${Math.max(0, Math.round(ageMs / 1000))} s ago.`);
  return storedAt === undefined ? [alive] : [alive, clock(name, renewed - storedAt)];
}

/** As of the agent's last renewal. An agent of an earlier version does not say it. */
function memory({ leases }: Facts, { metadata: { name } }: Node): Result | undefined {
  const { lease } = leases.find((one) => one.lease.metadata.name === agentLease.name(name)) ?? {};
  const said = lease?.metadata.annotations[annotations.memory];
  const found = parseNodeMemory(said, lease?.spec.renewTime);
  if (!found) return undefined;
  const room = roomIn(found);
  if (room === 0) {
    const message = `No pod is moved to this node: it has ${size(found.available)} of memory available, and ${size(neededBytes(0))} are kept free. Free memory there.`;
    return result('warning', 'memory', name, message);
  }
  const images = found.keepsImages ? ', as its images are kept in memory, too' : '';
  return result('ok', 'memory', name, `A pod that moves here may have ${size(room)}${images}.`);
}

/** The agent's time of a renewal beside the API server's, which is in whole seconds. */
function clock(name: string, difference: number): Result {
  const off = difference > resolutionMs ? difference - resolutionMs : Math.min(0, difference);
  const seconds = (Math.abs(off) / 1000).toFixed(0);
  if (Math.abs(off) <= skewMs) {
    return result('ok', 'clock', name, 'Within 2 s of the API server.');
  }
  return result(
    Math.abs(off) > SKEW_FAULT_MS ? 'fault' : 'warning',
    'clock',
    name,
    `${seconds} s ${off > 0 ? 'ahead of' : 'behind'} the API server, or its renewals are slow. Synchronize the node with NTP: certificates and reported times depend on it.`,
  );
}

function certificate({ certificates, now }: Facts, { metadata: { name } }: Node): Result {
  const own = certificates
    .filter((one) => nodeOf(one) === name)
    .sort((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1));
  const issued = own.map(endOf).filter((one) => one !== undefined);
  const latest = Math.max(...issued);
  const refused = own[0]?.status.conditions.find(
    ({ type }) => type === 'Denied' || type === 'Failed',
  );
  if (refused) {
    return result(
      'fault',
      'certificate',
      name,
      `The operator refused ${own[0]?.metadata.name ?? ''}: ${refused.message ?? refused.type}`,
    );
  }
  if (issued.length === 0) {
    return result(
      'warning',
      'certificate',
      name,
      own.length > 0
        ? `${own[0]?.metadata.name ?? ''} is not signed. See the operator's logs.`
        : 'There is no CertificateSigningRequest any more to read the end from; the API server removes them after a while. The readiness of the agent says more.',
    );
  }
  const leftMs = latest - now;
  const hours = (leftMs / 3_600_000).toFixed(1);
  if (leftMs <= 0) {
    return result(
      'fault',
      'certificate',
      name,
      `It ended at ${new Date(latest).toISOString()}. Restart the agent's pod, and see its logs.`,
    );
  }
  return leftMs < nearEndMs
    ? result(
        'warning',
        'certificate',
        name,
        `It ends in ${hours} h and should have been renewed. See the agent's logs.`,
      )
    : result('ok', 'certificate', name, `Valid for ${hours} h.`);
}

const nodeOf = ({ spec }: CertificateSigningRequest): string | undefined =>
  spec.extra['authentication.kubernetes.io/node-name']?.[0];

function endOf({ status }: CertificateSigningRequest): number | undefined {
  if (!status.certificate) return undefined;
  try {
    const { validTo } = new X509Certificate(Buffer.from(status.certificate, 'base64'));
    return Date.parse(validTo);
  } catch {
    return undefined;
  }
}

const cpuOf = ({ metadata }: Node): string[] =>
  (metadata.annotations[annotations.cpuFeatures] ?? '').split(' ').filter((one) => one !== '');

function cpu(node: Node): Result | undefined {
  if (cpuOf(node).length > 0) return undefined;
  return result(
    'warning',
    'CPU features',
    node.metadata.name,
    `Unknown: the node lacks the annotation ${annotations.cpuFeatures}. Pods move to it only from such nodes. Upgrade the agent there.`,
  );
}

/** Nothing of a node that says neither: podNetwork is off, or no pod moves there at all. */
function podNetwork({ metadata: { name, annotations: said } }: Node): Result | undefined {
  const why = said[annotations.podNetworkProblem];
  if (why !== undefined) {
    const message = `A pod that moves from or to this node gets another IP: ${why} docs/pod-ip.md says what it takes.`;
    return result('warning', 'pod IP', name, message);
  }
  if (said[annotations.podNetwork] === undefined) return undefined;
  const families = said[annotations.podNetworkFamilies];
  const kept = families === undefined ? '' : ` (${families.replace(',', ', ')})`;
  return result('ok', 'pod IP', name, `Pods that move here keep their IP${kept}.`);
}

/** Nodes between which nothing can be moved. */
function pairs(nodes: readonly Node[]): Result[] {
  const able = nodes.filter(
    (one) => one.metadata.labels[labels.driverAbi] !== undefined && isNodeReady(one),
  );
  const results: Result[] = [];
  const abis = new Map<string, string[]>();
  for (const { metadata } of able) {
    const abi = metadata.labels[labels.driverAbi] ?? '';
    abis.set(abi, [...(abis.get(abi) ?? []), metadata.name]);
  }
  for (const [abi, names] of abis) {
    if (names.length > 1) continue;
    results.push(
      result(
        'warning',
        'driver ABI',
        names[0] ?? '',
        `No other Ready node has ABI ${abi}: its pods can move nowhere. Install the same version of Sealift on a second node.`,
      ),
    );
  }
  results.push(
    ...differing(able, 'kernel', 'CRIU and the driver need the same release', (one) => [
      one.status.nodeInfo.kernelVersion,
    ]),
  );
  const known = able.filter((one) => cpuOf(one).length > 0);
  results.push(
    ...differing(
      known,
      'CPU features',
      'a pod moves only to a node with all features of its own',
      cpuOf,
    ),
  );
  return results;
}

function differing(
  nodes: readonly Node[],
  check: string,
  why: string,
  valueOf: (node: Node) => readonly string[],
): Result[] {
  const [first, ...others] = nodes;
  if (!first) return [];
  const own = new Set(valueOf(first));
  for (const other of others) {
    const its = valueOf(other);
    const missing = [...own].filter((one) => !its.includes(one));
    const more = its.filter((one) => !own.has(one));
    if (missing.length + more.length === 0) continue;
    const [a, b] = [first.metadata.name, other.metadata.name];
    const only = (name: string, list: readonly string[]): string =>
      list.length === 0 ? '' : ` Only ${name}: ${list.slice(0, 8).join(', ')}.`;
    return [
      result(
        'warning',
        check,
        `${a}, ${b}`,
        `They differ; ${why}.${only(a, missing)}${only(b, more)}`,
      ),
    ];
  }
  return others.length === 0 ? [] : [result('ok', check, 'all nodes', 'The same on all nodes.')];
}

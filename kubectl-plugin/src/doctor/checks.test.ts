// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, labels } from '../../../crds/src/index.ts';
import { certificateSigningRequests, leases, Node } from '../../../kube/src/index.ts';
import { at, NOW } from '../../testing/terminal.ts';
import { examine, type Facts } from './checks.ts';

interface Parts {
  abi?: string | undefined;
  problem?: [string, string];
  ready?: boolean;
  cordoned?: boolean;
  kernel?: string;
  cpu?: string;
  said?: Record<string, string>;
}

const node = (name: string, parts: Parts = {}): Node =>
  Node.parse({
    metadata: {
      name,
      labels: {
        ...('abi' in parts && parts.abi === undefined
          ? {}
          : { [labels.driverAbi]: parts.abi ?? 'rxe-5' }),
        ...(parts.problem ? { [labels.problem]: parts.problem[0] } : {}),
      },
      annotations: {
        [annotations.agentAddress]: `${name}:7461`,
        [annotations.cpuFeatures]: parts.cpu ?? 'avx avx2',
        ...(parts.problem ? { [annotations.problem]: parts.problem[1] } : {}),
        ...parts.said,
      },
    },
    spec: { unschedulable: parts.cordoned ?? false },
    status: {
      conditions: [{ type: 'Ready', status: (parts.ready ?? true) ? 'True' : 'False' }],
      nodeInfo: {
        kernelVersion: parts.kernel ?? '6.12.1',
        containerRuntimeVersion: 'containerd://2.0',
      },
    },
  });

const lease = (name: string, renewed: number, stored: number): Facts['leases'][number] => ({
  lease: leases.parse({ metadata: { name: `agent-${name}` }, spec: { renewTime: at(renewed) } }),
  storedAt: Date.parse(at(stored)),
});

const csr = (node: string, status: object): Facts['certificates'][number] =>
  certificateSigningRequests.parse({
    metadata: { name: `csr-${node}`, creationTimestamp: at(-10) },
    spec: {
      ...{ request: '', signerName: 'sealift.dev/agent' },
      extra: { 'authentication.kubernetes.io/node-name': [node] },
    },
    status,
  });

const healthy: Facts = {
  now: NOW,
  nodes: [node('a'), node('b')],
  handler: 'sealift',
  definitions: [
    'migrationrequests',
    'checkpointrequests',
    'restorerequests',
    'migrationpolicies',
  ].map((one) => `${one}.sealift.dev`),
  leases: [lease('a', -5, -5), lease('b', -9, -8)],
  certificates: [],
  hasMultus: true,
  unread: [],
};
const wrong = (facts: Partial<Facts>): string[] =>
  examine({ ...healthy, ...facts })
    .filter(
      ({ state, check }) =>
        state !== 'ok' && !(check === 'certificate' && facts.certificates === undefined),
    )
    .map(({ state, check, object, message }) => `${state} ${check} ${object}: ${message}`);

describe('doctor', () => {
  it.each<[string, string | undefined, RegExp | undefined]>([
    ['an older agent does not say', undefined, undefined],
    ['a Lease was renewed by an older agent since', `available=1,renewed=${at(-100)}`, undefined],
    [
      'there is room',
      `available=${2 ** 31},renewed=${at(-5)}`,
      /^ok a: A pod that moves here may have 1\.8 GiB\.$/,
    ],
    [
      'images take as much again',
      `available=${2 ** 31},images=memory,renewed=${at(-5)}`,
      /^ok a: A pod that moves here may have 913\.7 MiB, as its images are kept in memory, too\.$/,
    ],
    [
      'there is none',
      `available=${2 ** 27},renewed=${at(-5)}`,
      /^warning a: No pod is moved to this node: it has 128\.0 MiB of memory available, and 192\.0 MiB are kept free\./,
    ],
  ])('says how much memory a node has for a pod: %s', (_name, said, text) => {
    const { lease: renewed, storedAt } = lease('a', -5, -5);
    const own = said === undefined ? {} : { [annotations.memory]: said };
    const written = { ...renewed, metadata: { ...renewed.metadata, annotations: own } };
    const results = examine({
      ...healthy,
      leases: [{ lease: written, storedAt }, lease('b', -9, -8)],
    });
    const found = results.filter(({ check }) => check === 'memory');
    const [first] = found.map(({ state, object, message }) => `${state} ${object}: ${message}`);
    if (text) expect(first).toMatch(text);
    else expect(found).toEqual([]);
  });

  it('finds nothing in a healthy cluster', () => {
    expect(wrong({})).toEqual([]);
  });

  it.each<[string, Partial<Facts>, RegExp[]]>([
    [
      'no agent anywhere',
      { nodes: [Node.parse({ metadata: { name: 'x' } })] },
      [/^fault nodes cluster: No node has an agent/],
    ],
    [
      'a missing definition',
      { definitions: ['migrationrequests.sealift.dev'] },
      [
        /^fault definitions .*checkpointrequests, restorerequests, migrationpolicies are missing.*helm install/,
      ],
    ],
    [
      'no RuntimeClass',
      { handler: undefined },
      [/^fault runtime class sealift: There is no RuntimeClass/],
    ],
    ['no Multus', { hasMultus: false }, [/^warning Multus cluster: .*Install it/]],
    [
      'a node that is not Ready',
      {
        nodes: [node('a'), node('b'), node('c', { ready: false })],
        leases: [...healthy.leases, lease('c', -1, -1)],
      },
      [/^fault node c: The node is not Ready/],
    ],
    [
      'a cordoned node',
      { nodes: [node('a'), node('b', { cordoned: true })] },
      [/^warning node b: .*kubectl uncordon/],
    ],
    [
      'a node without a driver',
      {
        nodes: [
          node('a'),
          node('b'),
          node('c', { abi: undefined, problem: ['DriverMissing', 'The module cannot be loaded.'] }),
        ],
        leases: [...healthy.leases, lease('c', -1, -1)],
      },
      [/^fault driver c: .*kernel 6\.12\.1/, /^fault runtime handler c: DriverMissing: The module/],
    ],
    [
      'what the agent misses',
      { nodes: [node('a', { problem: ['MultusMissing', 'No Multus.'] }), node('b')] },
      [/^warning runtime handler a: MultusMissing: No Multus/],
    ],
    [
      'a node where a moved pod gets another IP',
      {
        nodes: [
          node('a', { said: { [annotations.podNetworkProblem]: 'No driver for CNI plugin c.' } }),
          node('b', { said: { [annotations.podNetwork]: 'sealift/sealift-pods' } }),
        ],
      },
      [/^warning pod IP a: .* another IP: No driver for CNI plugin c\. docs\/pod-ip\.md/],
    ],
    [
      'an agent without a Lease',
      { leases: [lease('a', -5, -5)] },
      [/^fault agent b: The agent has no Lease agent-b/],
    ],
    [
      'an agent that is gone',
      { leases: [lease('a', -5, -5), lease('b', -200, -200)] },
      [/^fault agent b: .*nothing for 200 s/],
    ],
    [
      'a clock that is behind',
      { leases: [lease('a', -5, -5), lease('b', -15, -5)] },
      [/^warning clock b: 10 s behind/],
    ],
    [
      'a clock that is far ahead',
      { leases: [lease('a', -5, -5), lease('b', 115, -5)] },
      [/^fault clock b: 119 s ahead/],
    ],
    [
      'another kernel',
      { nodes: [node('a'), node('b', { kernel: '6.1.0' })] },
      [/^warning kernel a, b: They differ; .*Only a: 6\.12\.1\. Only b: 6\.1\.0/],
    ],
    [
      'other CPUs',
      {
        nodes: [node('a'), node('b', { cpu: 'avx sse4_1' })],
      },
      [/^warning CPU features a, b: .*Only a: avx2\. Only b: sse4_1/],
    ],
    [
      'CPUs that nobody has looked at',
      { nodes: [node('a'), node('b', { cpu: '' })] },
      [/^warning CPU features b: Unknown/],
    ],
    [
      'an ABI that no other node has',
      {
        nodes: [node('a'), node('b'), node('c', { abi: 'rxe-4' })],
        leases: [...healthy.leases, lease('c', -1, -1)],
      },
      [/^warning driver ABI c: No other Ready node has ABI rxe-4/],
    ],
    [
      'what may not be read',
      { unread: ['You may not read nodes.'] },
      [/^warning access cluster: You may not/],
    ],
  ])('finds %s', (_name, facts, patterns) => {
    const found = wrong(facts);
    expect(found).toHaveLength(patterns.length);
    for (const [index, pattern] of patterns.entries()) expect(found[index]).toMatch(pattern);
  });

  it('says how long certificates are valid, and which was refused', () => {
    const denied = csr('b', { conditions: [{ type: 'Denied', message: 'Of another node.' }] });
    const waiting = csr('a', {});
    expect(wrong({ certificates: [waiting, denied] })).toEqual([
      "warning certificate a: csr-a is not signed. See the operator's logs.",
      'fault certificate b: The operator refused csr-b: Of another node.',
    ]);
  });
});

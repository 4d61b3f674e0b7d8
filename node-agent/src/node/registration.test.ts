// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from 'vitest';
import {
  agentLease,
  annotations,
  labels,
  parseNodeMemory,
  type NodeMemory,
} from '../../../crds/src/index.ts';
import { ApiError, ConnectionError, FakeClock, silent, type Api } from '../../../kube/src/index.ts';
import { AgentError } from '../support/errors.ts';
import type { PodNetworkDescription } from './pod-ip/pod-network-check.ts';
import { Registration, publishProblem, withdrawNode } from './registration.ts';

interface Written {
  kind: string;
  name: string;
  body: Record<string, unknown>;
}

describe('an agent', () => {
  const clock = new FakeClock();
  let writes: Written[] = [];
  let node = { labels: {}, annotations: {} } as Record<string, Record<string, string>>;
  let lease: string | undefined;
  let isUp = true;
  let abi: string | AgentError = 'rxe-1';
  let network: PodNetworkDescription | string | undefined;
  let memory: NodeMemory | Error | undefined;

  const api = {
    get: async () => ({ metadata: node }),
    merge: async ({ kind }: { kind: string }, _namespace: string, name: string, body: object) => {
      if (!isUp) throw new ConnectionError('Unreachable', 'refused');
      if (kind === 'Lease' && lease === undefined) throw new ApiError(404, 'NotFound', 'gone');
      writes.push({ kind, name, body: body as Written['body'] });
      if (kind === 'Node') {
        const { metadata } = body as { metadata: typeof node };
        const merged = (part: string): Record<string, string> => {
          const all = Object.entries({ ...node[part], ...metadata[part] });
          return Object.fromEntries(all.filter(([, value]) => (value as unknown) !== null));
        };
        node = { labels: merged('labels'), annotations: merged('annotations') };
      }
    },
    create: async ({ kind }: { kind: string }, _namespace: string, body: Written['body']) => {
      lease = 'made';
      writes.push({ kind, name: '', body });
    },
  } as unknown as Api;

  const make = (): Registration =>
    new Registration({
      ...{ api, clock, log: silent, nodeName: 'a', address: '10.0.0.1:7460', namespace: 'sealift' },
      podNetwork: network === undefined ? undefined : async () => network ?? '',
      cpuFeatures: 'avx sse2',
      completionVectors: '4',
      securityModules: 'none',
      memory: async () => {
        if (memory instanceof Error) throw memory;
        return memory;
      },
      describe: async () =>
        abi instanceof AgentError
          ? { driverAbi: undefined, problem: { code: abi.code, message: abi.message } }
          : { driverAbi: abi, problem: undefined },
    });
  const kinds = (): string[] => writes.map(({ kind }) => kind);

  beforeEach(() => {
    network = undefined;
    memory = undefined;
    [writes, node, lease, isUp, abi] = [
      [],
      { labels: {}, annotations: {} },
      undefined,
      true,
      'rxe-1',
    ];
  });

  it('makes its Lease before it labels its node, and then only renews', async () => {
    const registration = make();
    expect(registration.leaseProblem()).toBe('The Lease was not renewed yet.');
    await registration.renew();
    expect(kinds()).toEqual(['Lease', 'Node']);
    expect(writes[0]?.body).toMatchObject({
      metadata: { name: 'agent-a', labels: { [labels.agent]: 'true' } },
      spec: { holderIdentity: 'a', leaseDurationSeconds: agentLease.durationSeconds },
    });
    expect(node).toEqual({
      labels: { [labels.driverAbi]: 'rxe-1' },
      annotations: {
        [annotations.agentAddress]: '10.0.0.1:7460',
        [annotations.cpuFeatures]: 'avx sse2',
        [annotations.completionVectors]: '4',
        [annotations.securityModules]: 'none',
      },
    });
    expect(registration.leaseProblem()).toBeUndefined();
    await registration.renew();
    expect(kinds()).toEqual(['Lease', 'Node', 'Lease']);
  });

  it('says with its Lease how much memory its node has, and writes nothing else for that', async () => {
    const said = (): unknown => {
      const { metadata, spec } = writes.findLast(({ body }) => 'spec' in body)?.body as {
        metadata: { annotations: Record<string, string> };
        spec: { renewTime: string };
      };
      return parseNodeMemory(metadata.annotations[annotations.memory], spec.renewTime);
    };
    const registration = make();
    for (const available of [5, 6]) {
      memory = { available, hugePages: new Map([[2048, 7]]), keepsImages: true };
      await registration.renew();
      expect(said()).toEqual(memory);
      await clock.advance(15_000);
    }
    expect(kinds()).toEqual(['Lease', 'Node', 'Lease']);
    // What an earlier renewal has said counts no more.
    memory = new Error('EIO');
    await registration.renew();
    const last = writes.at(-1)?.body as { metadata: object };
    expect(last.metadata).toMatchObject({ annotations: { [annotations.memory]: null } });
    expect(registration.leaseProblem()).toBeUndefined();
  });

  it('labels its node again when the operator has taken the label away', async () => {
    const registration = make();
    await registration.renew();
    node = { ...node, labels: {} };
    await registration.renew();
    expect(node['labels']).toEqual({ [labels.driverAbi]: 'rxe-1' });
  });

  it('says in which network pods keep their addresses, and of which families', async () => {
    const own = () => {
      const all = node['annotations'] ?? {};
      return [all[annotations.podNetwork], all[annotations.podNetworkFamilies]];
    };
    network = { network: 'sealift/sealift-pods', families: ['IPv4', 'IPv6'] };
    const registration = make();
    await registration.renew();
    expect(own()).toEqual(['sealift/sealift-pods', 'IPv4,IPv6']);
    network = { network: 'sealift/sealift-pods', families: [] };
    await registration.renew();
    expect(own()).toEqual(['sealift/sealift-pods', undefined]);
    network = { network: 'sealift/sealift-pods', families: ['IPv4'] };
    await registration.renew();
    await withdrawNode(api, 'a');
    expect(own()).toEqual([undefined, undefined]);
  });

  it('says why they do not, in place of it', async () => {
    const problem = () => node['annotations']?.[annotations.podNetworkProblem];
    network = 'Sealift has no driver for CNI plugin calico.';
    const registration = make();
    await registration.renew();
    expect(problem()).toBe('Sealift has no driver for CNI plugin calico.');
    expect(node['annotations']?.[annotations.podNetwork]).toBeUndefined();
    network = { network: 'sealift/sealift-pods', families: ['IPv4'] };
    await registration.renew();
    expect(problem()).toBeUndefined();
    expect(node['annotations']?.[annotations.podNetwork]).toBe('sealift/sealift-pods');
    network = 'Multus is gone.';
    await registration.renew();
    await withdrawNode(api, 'a');
    expect(problem()).toBeUndefined();
  });

  it('takes its label away when the driver has gone, and says why', async () => {
    const registration = make();
    await registration.renew();
    expect(registration.nodeProblem()).toBeUndefined();
    abi = new AgentError('DriverMissing', 'The module is not loaded.');
    await registration.renew();
    expect(node['labels']).toEqual({ [labels.problem]: 'DriverMissing' });
    expect(node['annotations']).toMatchObject({
      [annotations.problem]: 'The module is not loaded.',
    });
    // The agent itself is well: an update of the DaemonSet does not wait for its node.
    expect(registration.nodeProblem()).toBeUndefined();
    const lease = () => writes.findLast(({ body }) => 'spec' in body)?.body;
    expect(lease()).toMatchObject({
      metadata: { labels: { [labels.agent]: 'true', [labels.problem]: 'DriverMissing' } },
    });
    abi = 'rxe-1';
    await registration.renew();
    expect(lease()).toMatchObject({ metadata: { labels: { [labels.problem]: null } } });
    abi = new AgentError('DriverMissing', 'The module is not loaded.');
    expect(registration.leaseProblem(), 'the agent itself is alive').toBeUndefined();
  });

  it('takes the place of what an installer that failed has said', async () => {
    await publishProblem(api, 'a', {
      code: 'DiskFull',
      message: 'The node has no disk space left.',
    });
    expect(node).toMatchObject({
      labels: { [labels.problem]: 'DiskFull' },
      annotations: { [annotations.problem]: 'The node has no disk space left.' },
    });
    await make().renew();
    expect(node['labels']).toEqual({ [labels.driverAbi]: 'rxe-1' });
    expect(node['annotations']).not.toHaveProperty([annotations.problem]);
  });

  it('goes on while the API server is away, and is not ready once its Lease has run out', async () => {
    const registration = make();
    const stop = new AbortController();
    const running = registration.run(stop.signal);
    await clock.advance(0);
    isUp = false;
    await clock.advance(agentLease.durationSeconds * 1000);
    expect(registration.leaseProblem()).toBeUndefined();
    await clock.advance(agentLease.renewSeconds * 1000);
    expect(registration.leaseProblem()).toMatch(/no renewal of the Lease for \d+ s/);
    isUp = true;
    await clock.advance(agentLease.renewSeconds * 1000);
    expect(registration.leaseProblem()).toBeUndefined();
    stop.abort();
    await running;
  });
});

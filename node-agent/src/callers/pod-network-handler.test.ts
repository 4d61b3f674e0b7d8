// SPDX-License-Identifier: Apache-2.0
// Who gets which address. A user may name Sealift's network in any pod, and its label and annotations.
import { describe, expect, it } from 'vitest';
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';
import { Pod } from '../../../kube/src/index.ts';
import { Host } from '../node/host/host.ts';
import type { Entry, Journal } from '../support/journal/journal.ts';
import { decision, migration, targetPod, REQUEST_UID } from '../testing/objects.ts';
import { PodNetworkHandler } from './pod-network-handler.ts';
import type { CniRequest } from '../support/socket-protocol.ts';
import type { TargetRequest } from './request-lookup.ts';

const ADDRESS = { podIPs: [{ ip: '10.88.1.5' }] };
const target = {
  ...{ nodeName: 'node-b', podName: 'app-2', agentAddress: '192.0.2.2:7460' },
  ...ADDRESS,
};
const call: Omit<CniRequest, 'phase'> = {
  ...{ op: 'cni' as const, containerId: 'sandbox', netns: '/var/run/netns/x', ifname: 'eth0' },
  ...{ namespace: 'default', pod: 'app-2', podUid: '', hidden: false, network: 'pod' as const },
};
const RESULT = { ips: [{ address: '10.88.2.7/24' }] };

/**
 * @param former addresses of the pod's former sandbox
 * @returns what was locked, and which addresses were placed
 */
async function run(
  pod: Pod,
  request?: object,
  entries: Partial<Entry>[] = [],
  former?: readonly string[],
) {
  const done: { locked: string[]; placed: (readonly string[])[] } = { locked: [], placed: [] };
  const found: TargetRequest | undefined = request && {
    ...{ kind: 'MigrationRequest', key: 'default/move' },
    request: migration({ target, ...request }),
  };
  const handler = new PodNetworkHandler({
    host: new Host({ root: '/' }),
    journal: {
      all: () => entries as Entry[],
      get: () => entries.find((one) => one.role === 'target'),
    } as unknown as Journal,
    lock: { lock: async (netns) => void done.locked.push(netns) },
    podIp: {
      network: async () => ({
        network: { cniVersion: '1.0.0', name: 'pods', plugins: [{ type: 'bridge' }] },
        driver: { type: 'bridge' } as never,
        ...{ recordsDir: '', subnets: [] },
      }),
      place: async ({ addresses }) => {
        done.placed.push(addresses);
        return { ips: [], routes: [] };
      },
      placedAddresses: async () => former,
    },
    pods: { getPod: async () => pod, targetRequest: async () => found },
    recordPreparing: async () => undefined,
  });
  const before = await handler.handle({ ...call, phase: 'before' });
  const after = await handler.handle({ ...call, phase: 'after', result: RESULT });
  return { ...done, before, after };
}

const plain = (fields: object = {}): Pod =>
  Pod.parse({ metadata: { name: 'app', uid: 'u' }, spec: { containers: [] }, ...fields });

describe('the cluster network of a pod that asks for it through Sealift', () => {
  it('is locked and gets its address, as a target', async () => {
    const { locked, placed, before, after } = await run(targetPod(), {});
    expect(locked).toEqual(['/var/run/netns/x']);
    expect(placed).toEqual([['10.88.1.5']]);
    expect(before).toMatchObject({ name: 'pods', plugins: [{ type: 'bridge' }] });
    expect(after).toHaveProperty('result');
  });

  it('is not locked any more once the target has resumed', async () => {
    const resumed = { id: REQUEST_UID, role: 'target', stage: 'Running' } as const;
    const { locked, placed } = await run(targetPod(), { decision: decision('Committed') }, [
      resumed,
    ]);
    expect([locked, placed]).toEqual([[], [['10.88.1.5']]]);
  });

  it('has the address of the former sandbox when the request is gone', async () => {
    const committed = { type: podConditions.committed, status: 'True' };
    const metadata = {
      ...{ name: 'app', uid: 'u', labels: { [labels.podIp]: 'kept' } },
      annotations: { [annotations.podIp]: '10.88.1.5' },
    };
    const { placed } = await run(
      plain({ metadata, status: { ...ADDRESS, conditions: [committed] } }),
    );
    expect(placed).toEqual([['10.88.1.5']]);
  });

  it('has it also after a boot, when the kubelet reports no address of a sandbox', async () => {
    const committed = { type: podConditions.committed, status: 'True' };
    const metadata = { ...{ name: 'app', uid: 'u', labels: { [labels.podIp]: 'kept' } } };
    const rebooted = plain({ metadata, status: { podIPs: [], conditions: [committed] } });
    const { placed } = await run(rebooted, undefined, [], ['10.88.1.5']);
    expect(placed).toEqual([['10.88.1.5']]);
    const { placed: others } = await run(plain({ metadata }), undefined, [], ['10.88.1.5']);
    expect(others).toEqual([]);
  });

  it('gives a pod that nobody has moved no address, whatever its user has written', async () => {
    const metadata = {
      ...{ name: 'app', uid: 'u', labels: { [labels.podIp]: 'kept' } },
      annotations: {
        [annotations.defaultNetwork]: 'sealift/sealift-pods',
        [annotations.podIp]: '10.88.1.5',
      },
    };
    const { placed, locked, after } = await run(plain({ metadata, status: ADDRESS }));
    expect([placed, locked, after]).toEqual([[], [], { ok: true }]);
  });

  it('is refused for a pod that has moved away', async () => {
    const moved = {
      role: 'source',
      podUid: 'u',
      stage: 'Gone',
      namespace: 'n',
      name: 'm',
    } as const;
    await expect(run(plain(), undefined, [moved])).rejects.toThrow(/moves the pod|has moved/);
  });
});

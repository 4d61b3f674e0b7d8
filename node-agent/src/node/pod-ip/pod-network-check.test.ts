// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from 'vitest';
import { ApiError, FakeClock, type Api } from '../../../../kube/src/index.ts';
import { keepingNetwork, type KeepingNetwork } from './drivers.ts';
import { PodNetworkCheck } from './pod-network-check.ts';

const bridge = (...subnets: string[]): KeepingNetwork | string =>
  keepingNetwork({
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        isGateway: true,
        ipam: { type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) },
      },
    ],
  });
const node = (name: string, ...addresses: string[]): object => ({
  metadata: { name, uid: name },
  status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
});

describe('whether moved pods keep their addresses', () => {
  const clock = new FakeClock();
  let hasNetwork: boolean;
  let all: object[];
  let found: KeepingNetwork | string;
  let failure: Error | undefined;
  let calls: string[];
  const api = {
    getRaw: async (_resource: unknown, namespace: string, name: string) => {
      calls.push(`${namespace}/${name}`);
      if (failure) throw failure;
      if (!hasNetwork) throw new ApiError(404, 'NotFound', 'gone');
      return {};
    },
    list: async () => {
      calls.push('nodes');
      return { items: all, resourceVersion: '1' };
    },
  } as unknown as Api;
  const check = (looksAtNodes = true): PodNetworkCheck =>
    new PodNetworkCheck({
      ...{ api, clock, nodeName: 'a', network: 'sealift/sealift-pods', looksAtNodes },
      look: async () => found,
      ownCidrs: () => ['10.0.0.1/24', 'fd00::1/64', '10.244.0.1/24'],
    });

  beforeEach(() => {
    [hasNetwork, failure, calls] = [true, undefined, []];
    all = [node('a', '10.0.0.1'), node('b', '10.0.0.2')];
    found = bridge('10.244.0.0/24');
  });

  it('they do where a driver knows the plugin, and all nodes are in one subnet', async () => {
    const own = { network: 'sealift/sealift-pods', families: ['IPv4'] };
    expect(await check().describe()).toEqual(own);
    expect(calls).toEqual(['sealift/sealift-pods', 'nodes']);
  });

  it.each<[string, () => void, RegExp]>([
    ['of another plugin', () => (found = 'No driver for calico.'), /^No driver for calico\.$/],
    [
      'without the chart’s network',
      () => (hasNetwork = false),
      /sealift-pods is missing: .*helm upgrade/,
    ],
    [
      'with a node in another subnet',
      () => all.push(node('c', '10.0.1.3')),
      /^Node c has the InternalIP 10\.0\.1\.3, .*podNetwork\.enabled: true/,
    ],
    [
      'with a node without an address',
      () => all.push(node('c')),
      /^Node c has no InternalIP of family IPv4/,
    ],
    [
      'with pods of a family that a node lacks',
      () => (found = bridge('10.244.0.0/24', 'fd01::/64')),
      /^Node b has no InternalIP of family IPv6/,
    ],
    [
      'whose subnets are told to IPAM by somebody else, with a node elsewhere',
      () => {
        found = bridge();
        all.push(node('c', '192.0.2.1'));
      },
      /^Node c has the InternalIP 192\.0\.2\.1/,
    ],
    [
      'that nothing can be read of',
      () => (failure = new Error('refused')),
      /cannot be read.*refused/,
    ],
  ])('they do not on a node %s', async (_what, change, why) => {
    change();
    expect(await check().describe()).toMatch(why);
  });

  it('they do wherever a user says that all nodes reach each other', async () => {
    all.push(node('c', '192.0.2.1'));
    expect(await check(false).describe()).toMatchObject({ families: ['IPv4'] });
    expect(calls).not.toContain('nodes');
  });

  it('is asked of the cluster now and then, and goes on while the API server is away', async () => {
    const one = check();
    await one.describe();
    await one.describe();
    expect(calls).toHaveLength(2);
    await clock.advance(301_000);
    failure = new Error('refused');
    expect(await one.describe()).toMatchObject({ families: ['IPv4'] });
    failure = undefined;
    hasNetwork = false;
    expect(await one.describe()).toMatch(/is missing/);
    hasNetwork = true;
    expect(await one.describe(), 'not asked again yet').toMatch(/is missing/);
    await clock.advance(61_000);
    expect(await one.describe()).toMatchObject({ families: ['IPv4'] });
    // The node's own network is looked at each time.
    found = 'Multus is gone.';
    expect(await one.describe()).toBe('Multus is gone.');
  });
});

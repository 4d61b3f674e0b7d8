// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, type Addresses } from '../../../crds/src/index.ts';
import { pod } from '../../testing/objects.ts';
import { devicesOf, addressOwners, planAddresses, type AddressQuestion } from './addresses.ts';

const source = {
  [annotations.networks]: JSON.stringify([
    { name: 'fabric', ips: ['10.99.0.11/24'], mac: '02:00:00:00:00:11', interface: 'net1' },
  ]),
};
const staticNetwork = { type: 'sealift', delegate: { type: 'macvlan', ipam: { type: 'static' } } };
const pool = { ipam: { type: 'host-local', subnet: '10.99.0.0/24' } };
const ownedIp = new Map([['default/fabric 10.99.0.11', 'default/p']]);
const ownedMac = new Map([['default/fabric 02:00:00:00:00:11', 'default/p']]);
const own = (ips: string[], network = 'fabric'): Addresses[] => [{ network, ips }];

function plan(parts: Partial<AddressQuestion> & { config?: object } = {}): unknown {
  const { config = staticNetwork, ...rest } = parts;
  const configs = new Map([['default/fabric', JSON.stringify(config)]]);
  const question = {
    source,
    namespace: 'default',
    wanted: [],
    owners: new Map(),
    configs,
    ...rest,
  };
  const answer = planAddresses(question);
  if ('reason' in answer) return answer;
  return answer.networks === undefined ? undefined : JSON.parse(answer.networks);
}

describe('planAddresses', () => {
  it('keeps the old addresses when no pod owns them', () => {
    expect(plan()).toEqual(JSON.parse(source[annotations.networks] ?? ''));
    expect(plan({ source: {} })).toBeUndefined();
  });

  it('leaves the choice to a network with a pool when another pod owns them', () => {
    for (const owners of [ownedIp, ownedMac])
      expect(plan({ owners, config: pool })).toEqual([{ name: 'fabric', interface: 'net1' }]);
  });

  it('refuses an address of a static network that another pod owns, and says what to do', () => {
    expect(plan({ owners: ownedIp })).toEqual({
      reason: 'AddressInUse',
      message:
        '10.99.0.11 on network default/fabric belongs to pod default/p; delete that pod, or give the new one another address in spec.addresses.',
    });
    expect(plan({ owners: ownedIp, configs: new Map() })).toMatchObject({ reason: 'AddressInUse' });
  });

  it('leaves the choice to an IPAM that would give the old address to another pod too', () => {
    const ipam = { type: 'whereabouts', range: '10.99.0.0/24' };
    const config = { type: 'sealift', delegate: { type: 'macvlan', ipam } };
    expect(plan({ config })).toEqual([{ name: 'fabric', interface: 'net1' }]);
    expect(plan({ config, wanted: own(['10.99.0.50/24']) })).toMatchObject({
      reason: 'BadAddress',
      message: expect.stringContaining('whereabouts') as unknown,
    });
  });

  it('takes the addresses of the request, with the network’s prefix length', () => {
    const fresh = [{ name: 'fabric', interface: 'net1', ips: ['10.99.0.50/24'] }];
    expect(plan({ owners: ownedIp, wanted: own(['10.99.0.50']) })).toEqual(fresh);
    expect(plan({ wanted: own(['10.99.0.50/24'], 'default/fabric') })).toEqual(fresh);
  });

  it.each([
    ['owned by another pod', own(['10.99.0.11']), 'AddressInUse'],
    ['invalid', own(['10.99.0.400']), 'BadAddress'],
    ['with an invalid prefix length', own(['10.99.0.5/33']), 'BadAddress'],
    ['without a prefix length, on a network without one', own(['192.168.0.1']), 'BadAddress'],
    [
      'on a network that the pod was not attached to',
      own(['10.99.0.50/24'], 'other'),
      'BadAddress',
    ],
    ['given twice', [...own(['10.99.0.50/24']), ...own(['10.99.0.51/24'])], 'BadAddress'],
  ])('refuses an address that is %s', (_name, wanted, reason) => {
    expect(plan({ owners: ownedIp, wanted })).toMatchObject({ reason });
  });
});

describe('addressOwners', () => {
  const networks = (ips: string[], name = 'p', more: object = {}): ReturnType<typeof pod> =>
    pod({
      metadata: {
        name,
        annotations: { [annotations.networks]: JSON.stringify([{ name: 'fabric', ips }]), ...more },
      },
    });

  it('returns every pod’s addresses in one form', () => {
    const moved = networks(['10.99.0.11/24'], 'p-abcde');
    const v6 = networks(['FD00:0:0::0007/64'], 'six');
    const all = addressOwners([moved, v6], '');
    expect(all.get('default/fabric 10.99.0.11')).toBe('default/p-abcde');
    const answer = plan({
      owners: all,
      source: { [annotations.networks]: '[{"name":"fabric","ips":["fd00::7/64"]}]' },
    });
    expect(answer).toMatchObject({ reason: 'AddressInUse' });
  });

  it('leaves out pods that have ended, and the request’s own target', () => {
    const ended = pod({ ...networks(['10.99.0.1/24']), status: { phase: 'Succeeded' } });
    const mine = networks(['10.99.0.2/24'], 'q', { [annotations.requestUid]: 'mine' });
    expect(addressOwners([ended, mine], 'mine').size).toBe(0);
    expect(addressOwners([ended, mine], 'other').size).toBe(1);
  });
});

describe('devicesOf', () => {
  it('returns names from annotations, and those derived from UIDs', () => {
    const asked = pod({ metadata: { annotations: { [annotations.rdmaDevice]: 'rxe0' } } });
    const plain = pod({ metadata: { uid: '0f1e2d3c-4b5a-6978' } });
    const ended = pod({ metadata: { uid: 'ended' }, status: { phase: 'Failed' } });
    const other = pod({ metadata: { uid: 'other' }, spec: { runtimeClassName: 'runc' } });
    const own = pod({
      metadata: { uid: 'own', annotations: { [annotations.requestUid]: 'mine' } },
    });
    const all = devicesOf([asked, plain, ended, other, own], 'mine');
    expect([...all]).toEqual(['rxe0', 'rxe0f1e2d3c4b']);
  });
});

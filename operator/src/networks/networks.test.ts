// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations } from '../../../crds/src/index.ts';
import {
  askedFor,
  attachedTo,
  keepAddresses,
  networkNames,
  NetworksError,
  parseNetworks,
} from './networks.ts';

const annotated = (networks: unknown, status?: unknown): Record<string, string> => ({
  [annotations.networks]: typeof networks === 'string' ? networks : JSON.stringify(networks),
  ...(status === undefined ? {} : { [annotations.networkStatus]: JSON.stringify(status) }),
});
const status = (name: string, ips: string[], more: object = {}): object => ({ name, ips, ...more });
const keep = (source: Record<string, string>, config: object = {}): unknown => {
  const text = keepAddresses(source, 'ns', new Map([['ns/fabric', JSON.stringify(config)]]));
  return text === undefined ? undefined : JSON.parse(text);
};

describe('parseNetworks', () => {
  it.each([
    [undefined, []],
    ['  ', []],
    ['a', [{ name: 'a' }]],
    ['x/a@net1, b', [{ name: 'a', namespace: 'x', interface: 'net1' }, { name: 'b' }]],
    ['[{"name":"a","ips":["10.0.0.1/24"]}]', [{ name: 'a', ips: ['10.0.0.1/24'] }]],
    ['{"name":"a"}', [{ name: 'a' }]],
  ])('reads %s', (text, list) => {
    expect(parseNetworks(text)).toEqual(list);
  });

  it.each(['[{]', '[{"ips":[]}]', '[null]', 'a@b@c', 'a,,b', '{"name":5}'])(
    'refuses %s',
    (text) => {
      expect(() => parseNetworks(text)).toThrow(NetworksError);
    },
  );

  it('names the networks in full', () => {
    expect(networkNames(annotated('x/a,b'), 'ns')).toEqual(['x/a', 'ns/b']);
  });
});

describe('askedFor', () => {
  it.each([
    [undefined, []],
    ['a,b', []],
    [
      JSON.stringify([
        { name: 'a', ips: ['10.0.0.5/24', 'FD00:0::5/64'] },
        { name: 'b', ips: ['10.0.0.5', 'fe80::1%net1'] },
        { name: 'c', ips: 'odd' },
        { name: 'd', ips: [7] },
      ]),
      ['10.0.0.5', 'fd00::5', 'fe80::1'],
    ],
  ])('of %s has one form for each address', (networks, addresses) => {
    expect(askedFor(networks)).toEqual(addresses);
  });
});

describe('keepAddresses', () => {
  it('returns nothing for a pod without further networks', () => {
    expect(keep({})).toBeUndefined();
  });

  it('asks for the addresses that the pod has, with the prefix length of the network’s configuration', () => {
    const source = annotated('fabric', [
      status('cluster', ['10.244.0.2'], { default: true }),
      status('ns/fabric', ['10.99.0.7'], { interface: 'net1', mac: '02:00:00:00:00:07' }),
    ]);
    const config = {
      delegate: { ipam: { type: 'host-local', ranges: [[{ subnet: '10.99.0.0/16' }]] } },
    };
    expect(keep(source, config)).toEqual([
      {
        name: 'fabric',
        namespace: 'ns',
        interface: 'net1',
        ips: ['10.99.0.7/16'],
        mac: '02:00:00:00:00:07',
      },
    ]);
  });

  it('takes the prefix length of the pod’s own request for a static network', () => {
    const source = annotated(
      [{ name: 'fabric', ips: ['10.99.0.7/24', 'fd00::7/64'] }],
      [status('ns/fabric', ['10.99.0.7', 'fd00::7'])],
    );
    expect(keep(source)).toMatchObject([{ ips: ['10.99.0.7/24', 'fd00::7/64'] }]);
  });

  it('ignores invalid prefix lengths', () => {
    const source = annotated(
      [{ name: 'fabric', ips: ['10.99.0.7/x'] }],
      [status('ns/fabric', ['10.99.0.7'])],
    );
    expect(keep(source)).toMatchObject([{ ips: ['10.99.0.7'] }]);
  });

  it('distinguishes two attachments to one network', () => {
    const source = annotated('fabric,fabric', [
      status('ns/fabric', ['10.99.0.1/24'], { interface: 'net1' }),
      status('ns/fabric', ['10.99.0.2/24'], { interface: 'net2' }),
    ]);
    expect(keep(source)).toMatchObject([
      { interface: 'net1', ips: ['10.99.0.1/24'] },
      { interface: 'net2', ips: ['10.99.0.2/24'] },
    ]);
  });

  it('keeps a selection that has no status', () => {
    expect(keep(annotated([{ name: 'fabric', ips: ['10.99.0.1/24'] }]))).toEqual([
      { name: 'fabric', ips: ['10.99.0.1/24'] },
    ]);
  });
});

describe('attachedTo', () => {
  it('returns requested and assigned addresses, but not the default network’s', () => {
    const source = annotated(
      [{ name: 'fabric', ips: ['10.99.0.7/24'] }],
      [
        status('cluster', ['10.244.0.2'], { default: true }),
        status('ns/fabric', ['10.99.0.7'], { mac: 'm' }),
      ],
    );
    expect(attachedTo(source, 'ns')).toEqual([
      { network: 'ns/fabric', addresses: ['10.99.0.7/24'] },
      { network: 'ns/fabric', addresses: ['10.99.0.7', 'm'] },
    ]);
  });

  it('ignores annotations that cannot be read', () => {
    for (const text of ['[', '[{"name":"a","ips":7}]', '{"name":"a","mac":[1]}'])
      expect(attachedTo(annotated(text), 'ns').flatMap((one) => one.addresses)).toEqual([]);
  });
});

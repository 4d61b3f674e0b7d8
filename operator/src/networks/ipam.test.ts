// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { ipamRefusals, unrecordedIpam } from './ipam.ts';

const of = (ipam: unknown): object => ({ type: 'sealift', delegate: { type: 'macvlan', ipam } });

describe('an IPAM that gives a moved pod’s address to another pod', () => {
  it.each([
    [of({ type: 'whereabouts', range: '10.0.0.0/24' }), 'whereabouts'],
    [of({ type: 'dhcp' }), 'dhcp'],
    [{ plugins: [{ type: 'tuning' }, of({ type: 'whereabouts' })] }, 'whereabouts'],
    [of({ type: 'host-local' }), undefined],
    [of({ type: 'static' }), undefined],
    [of({}), undefined],
    [of(null), undefined],
    [of({ type: 5 }), undefined],
    [{ type: 'sealift' }, undefined],
    [{ type: 'sealift', podNetwork: true }, undefined],
    // Without Sealift's delegate it gives the moved pod another address.
    [{ type: 'macvlan', ipam: { type: 'whereabouts' } }, undefined],
    [{ plugins: 'x' }, undefined],
    [null, undefined],
  ])('%j: %s', (config, type) => {
    expect(unrecordedIpam(JSON.stringify(config))).toBe(type);
  });

  it('is named with its network, and one that cannot be read is not', () => {
    const configs = new Map([
      ['ns/good', JSON.stringify(of({ type: 'host-local' }))],
      ['ns/bad', JSON.stringify(of({ type: 'whereabouts' }))],
      ['ns/odd', '{'],
    ]);
    expect([...ipamRefusals(configs)]).toMatchObject([
      {
        reason: 'UnsupportedPod',
        message: expect.stringMatching(/ns\/bad .*whereabouts/) as unknown,
      },
    ]);
  });
});

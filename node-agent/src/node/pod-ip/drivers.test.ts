// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { familiesOf } from './drivers.ts';
import { PodIp } from './pod-ip.ts';

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.88.1.0/24' }]], dataDir: '/run/ipam' };
const bridge = { cniVersion: '1.0.0', name: 'pods', type: 'bridge', isGateway: true, ipam };
const thin = (delegate: object) => ({ name: 'multus', type: 'multus', delegates: [delegate] });

describe('the network of a node', () => {
  const roots: string[] = [];
  afterEach(() => {
    for (const root of roots.splice(0)) rmSync(root, { recursive: true });
  });

  /** @param files of /etc/cni/net.d */
  function look(files: Record<string, object | string>) {
    const root = mkdtempSync(join(tmpdir(), 'sealift-cni-'));
    roots.push(root);
    mkdirSync(join(root, 'etc/cni/net.d'), { recursive: true });
    for (const [name, content] of Object.entries(files)) {
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      writeFileSync(join(root, 'etc/cni/net.d', name), text);
    }
    return new PodIp({ host: new Host({ root }) }).look();
  }

  it('is the first delegate of Multus', async () => {
    const found = await look({ '00-multus.conf': thin(bridge), '10-other.conf': bridge });
    expect(found).toMatchObject({
      network: { name: 'pods', plugins: [{ type: 'bridge' }] },
      recordsDir: '/run/ipam/pods',
      subnets: ['10.88.1.0/24'],
    });
  });

  it('is the file that thick Multus names, or the next one', async () => {
    const ptp = { type: 'ptp', ipam: { type: 'host-local', subnet: '10.1.0.0/24' } };
    const list = { cniVersion: '1.0.0', name: 'kindnet', plugins: [ptp, { type: 'portmap' }] };
    const files = { '10-kindnet.conflist': list, '20-bridge.conf': bridge };
    const shim = { name: 'multus', type: 'multus-shim' };
    const kindnet = {
      network: { name: 'kindnet', plugins: [{ type: 'ptp' }, { type: 'portmap' }] },
      recordsDir: '/var/lib/cni/networks/kindnet',
    };
    expect(await look({ ...files, '00-multus.conf': shim })).toMatchObject(kindnet);
    const named = { ...shim, clusterNetwork: '/host/etc/cni/net.d/20-bridge.conf' };
    expect(await look({ ...files, '00-multus.conf': named })).toMatchObject({
      network: { name: 'pods' },
    });
  });

  it('has the families of what its IPAM gives', async () => {
    const of = async (ranges: object) => {
      const conf = { ...bridge, ipam: { type: 'host-local', ...ranges } };
      const found = await look({ '00-multus.conf': thin(conf) });
      return typeof found === 'string' ? found : familiesOf(found);
    };
    const [v4, v6] = [[{ subnet: '10.88.1.0/24' }], [{ subnet: 'fd88::/64' }]];
    expect(await of({ ranges: [v6, v4, v4] })).toEqual(['IPv4', 'IPv6']);
    expect(await of({ subnet: 'fd88::/64' })).toEqual(['IPv6']);
    expect(await of({})).toEqual([]);
  });

  it.each([
    ['no Multus', { '10-pods.conf': bridge }, /not that of Multus/],
    ['none at all', {}, /not that of Multus/],
    ['a file that cannot be read', { '00-multus.conf': '{' }, /not that of Multus/],
    [
      'another plugin',
      { '00-multus.conf': thin({ ...bridge, type: 'calico' }) },
      /no driver for CNI plugin calico/,
    ],
    [
      'another IPAM',
      { '00-multus.conf': thin({ ...bridge, ipam: { type: 'whereabouts' } }) },
      /does not use host-local/,
    ],
    [
      'a bridge that is no gateway',
      { '00-multus.conf': thin({ ...bridge, isGateway: false }) },
      /isGateway/,
    ],
    ['masquerading by address', { '00-multus.conf': thin({ ...bridge, ipMasq: true }) }, /ipMasq/],
    [
      'a further plugin that filters by address',
      { '00-multus.conf': thin({ name: 'pods', plugins: [bridge, { type: 'firewall' }] }) },
      /firewall/,
    ],
  ])('lets no pod keep its address: %s', async (_what, files, reason) => {
    expect(await look(files)).toMatch(reason);
  });
});

// SPDX-License-Identifier: Apache-2.0
// Over directories as host-local and the CNI delegate leave them; native/shim/tests/ipam.ts has the plugins themselves.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host } from '../host/host.ts';
import { BUNDLES } from '../runtime/containers.ts';
import { FabricAddresses } from './fabric-addresses.ts';

const DEFAULT = 'var/lib/cni/networks/fabric';
const NOTED = 'srv/ipam/fabric';

describe('addresses in the RDMA network', () => {
  let root: string;
  let addresses: FabricAddresses;
  const put = (path: string, text: string): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const note = (name: string, ipam: object | string): void =>
    put(`var/lib/sealift/ipam/${name}.json`, JSON.stringify({ name, ipam }));
  const record = (dir: string, address: string, sandbox = 'sand'): void =>
    put(`${dir}/${address}`, `${sandbox}\r\nnet1`);
  const text = (dir: string, address: string) => readFileSync(join(root, dir, address), 'utf8');
  const names = (dir: string) => readdirSync(join(root, dir)).sort();

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'sealift-fabric-'));
    addresses = new FabricAddresses(new Host({ root }));
    note('fabric', { type: 'host-local', dataDir: '/srv/ipam', subnet: '10.0.0.0/24' });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it('are reserved wherever the node has recorded them for the sandbox, and nothing else is', async () => {
    record(NOTED, '10.0.0.5');
    record(NOTED, '10.0.0.6', 'other');
    record(DEFAULT, 'fd00::5');
    record(DEFAULT, '10.244.0.9');
    record(DEFAULT, '10.0.0.5', 'other');
    const wanted = ['10.0.0.5', '10.0.0.6', 'fd00::5'];
    const given = await addresses.givenTo('sand', wanted);
    expect(given.sort()).toEqual(['10.0.0.5', 'fd00::5']);
    expect(text(NOTED, '10.0.0.5')).toBe('sand\r\nnet1');
    for (const _again of [1, 2]) {
      await addresses.reserve('sand', given);
      expect(text(NOTED, '10.0.0.5')).toBe('sealift-fabric sand\r\nnet1');
      expect(text(DEFAULT, 'fd00::5')).toBe('sealift-fabric sand\r\nnet1');
      expect(text(NOTED, '10.0.0.6')).toBe('other\r\nnet1');
      expect(text(DEFAULT, '10.0.0.5')).toBe('other\r\nnet1');
      // The cluster's own network has reservations of its own.
      expect(text(DEFAULT, '10.244.0.9')).toBe('sand\r\nnet1');
    }
  });

  it('come back to a source that stays, and go with a pod that is gone', async () => {
    record(NOTED, '10.0.0.5');
    record(NOTED, '10.0.0.6');
    put(`${DEFAULT}/10.244.0.7`, 'sealift sand\r\neth0');
    await addresses.reserve('sand', ['10.0.0.5', '10.0.0.6']);
    await addresses.release(() => true);
    expect(text(NOTED, '10.0.0.5')).toBe('sealift-fabric sand\r\nnet1');
    mkdirSync(join(root, BUNDLES, 'sand'), { recursive: true });
    await addresses.release((address) => address === '10.0.0.6');
    expect(text(NOTED, '10.0.0.5')).toBe('sand\r\nnet1');
    rmSync(join(root, BUNDLES, 'sand'), { recursive: true });
    await addresses.release(() => false);
    expect(names(NOTED)).toEqual(['10.0.0.5']);
    // The other feature's.
    expect(text(DEFAULT, '10.244.0.7')).toBe('sealift sand\r\neth0');
  });

  it('of pods elsewhere are reserved where this node could give them', async () => {
    note('second', { type: 'host-local', ranges: [[{ subnet: 'fd00::/64' }]] });
    note('odd', { type: 'host-local', dataDir: 'relative', subnet: '10.0.0.0/24' });
    note('../odd', { type: 'host-local', subnet: '10.0.0.0/24' });
    note('static', { type: 'static' });
    put('var/lib/sealift/ipam/cut.json', '{"name":"cut","ipam":{');
    note('bad-subnet', { type: 'host-local', subnet: '10.0.0.0/99' });
    record(NOTED, '10.0.0.6', 'other');
    const all = ['10.0.0.5', '10.0.0.6', '10.7.0.1', 'fd00::9'];
    for (const _again of [1, 2]) {
      expect(await addresses.reserveMissing(all)).toEqual(['10.0.0.6']);
      expect(names(NOTED)).toEqual(['10.0.0.5', '10.0.0.6']);
      expect(names('var/lib/cni/networks')).toEqual(['second']);
      expect(names('var/lib/cni/networks/second')).toEqual(['fd00::9']);
    }
    await addresses.release(() => false);
    expect(names(NOTED)).toEqual(['10.0.0.6']);
  });

  it('are none on a node without host-local', async () => {
    rmSync(join(root, 'var'), { recursive: true });
    expect(await addresses.givenTo('sand', ['10.0.0.5'])).toEqual([]);
    await addresses.reserve('sand', ['10.0.0.5']);
    expect(await addresses.reserveMissing(['10.0.0.5'])).toEqual([]);
    await addresses.release(() => false);
    expect(readdirSync(root)).toEqual([]);
  });
});

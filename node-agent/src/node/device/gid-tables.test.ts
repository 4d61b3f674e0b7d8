// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { settledGids } from './gid-tables.ts';

describe('the GID tables of a pod', () => {
  const entry = (gid: string) => ({ interface: 'net1', index: 1, gid });
  /** @param tables one a look; the last one is repeated */
  const read = (tables: string[][], addresses: string[]) => {
    let looks = 0;
    const driver = {
      gidEntries: async () => (tables[Math.min(looks++, tables.length - 1)] ?? []).map(entry),
      addressesAsGids: async () => addresses,
    };
    return settledGids(driver, '/run/netns/x');
  };

  it('are read once they have every address of the interface', async () => {
    expect(await read([[]], [])).toEqual([]);
    const later = ['fe80::1', '::ffff:10.0.0.1'];
    expect(await read([['fe80::1'], later], ['::ffff:10.0.0.1'])).toEqual(later.map(entry));
  });

  it('are unknown if they never do', async () => {
    expect(await read([['fe80::1']], ['::ffff:10.0.0.1'])).toBeUndefined();
  });
});

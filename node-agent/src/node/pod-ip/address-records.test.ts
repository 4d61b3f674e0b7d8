// SPDX-License-Identifier: Apache-2.0
// pod-ip.test.ts has the plugin itself; here are the moments in between.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AddressRecords } from './address-records.ts';

describe("host-local's records", () => {
  let dir: string;
  let records: AddressRecords;
  const content = (address: string) => readFileSync(join(dir, address), 'utf8');

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'sealift-records-'));
    records = new AddressRecords(dir);
    writeFileSync(join(dir, '10.0.0.5'), 'sandbox\r\neth0');
    writeFileSync(join(dir, 'last_reserved_ip.0'), '10.0.0.5');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('are marked once, and lists leave out what is no address', async () => {
    expect(await records.reserve('10.0.0.5')).toBe(true);
    expect(await records.reserve('10.0.0.5')).toBe(true);
    expect(await records.reserve('10.0.0.6')).toBe(false);
    expect(content('10.0.0.5')).toBe('sealift sandbox\r\neth0');
    expect(await records.list()).toEqual([
      { address: '10.0.0.5', isReserved: true, sandboxId: 'sandbox' },
    ]);
    expect(readdirSync(dir).sort()).toEqual(['10.0.0.5', 'last_reserved_ip.0']);
  });

  it('are given back to a sandbox that is there, and removed for one that is gone', async () => {
    for (const hasSandbox of [true, false]) {
      await records.reserve('10.0.0.5');
      const [one] = await records.list();
      if (one) await records.release(one, hasSandbox);
      const left = await records.list();
      expect(left.map((record) => record.isReserved)).toEqual(hasSandbox ? [false] : []);
    }
  });

  it('of another sandbox are neither released nor reserved', async () => {
    const one = { address: '10.0.0.5', isReserved: true, sandboxId: 'old' };
    await records.release(one, false);
    expect(content('10.0.0.5')).toBe('sandbox\r\neth0');
    expect(await records.reserveFree('10.0.0.5')).toBe(false);
    expect(await records.reserveFree('10.0.0.6')).toBe(true);
    expect(await records.reserveFree('10.0.0.6')).toBe(true);
    expect(content('10.0.0.6')).toMatch(/^sealift/);
  });
});

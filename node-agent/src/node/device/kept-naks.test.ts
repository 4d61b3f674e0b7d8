// SPDX-License-Identifier: Apache-2.0
// Which NAKs are read from a source's devices, and given to a target's.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Nak } from '../../../../crds/src/index.ts';
import type { RdmaDevice } from '../../../../native/addon/index.ts';
import { giveNaks, keptNaks } from './kept-naks.ts';

const rxeNaks = vi.hoisted(() => vi.fn<(of: { device: string }) => Promise<Nak[]>>());
const rxeRestoreNaks = vi.hoisted(() =>
  vi.fn<(of: { device: string; naks: Nak[] }) => Promise<Nak[]>>(),
);
vi.mock('../../../../native/addon/index.ts', () => ({ rxeNaks, rxeRestoreNaks }));

const nak = (qpn: number): Nak => ({ qpn, psn: 0xfffff0, syndrome: 0x62 });
const coded = (code: string) => Object.assign(new Error(code), { code });
const driver = (...names: string[]) => ({
  devices: async () => names.map((name) => ({ name })) as RdmaDevice[],
});

describe('NAKs that end a connection', () => {
  beforeEach(() => vi.resetAllMocks());

  it('are read from every device', async () => {
    rxeNaks.mockImplementation(async ({ device }) => [nak(device === 'a' ? 17 : 18)]);
    expect(await keptNaks(driver('a', 'b'), '/ns')).toEqual([nak(17), nak(18)]);
    expect(await keptNaks(driver(), '/ns')).toEqual([]);
  });

  it.each(['EBUSY', 'AbiMismatch'])('are not on a device that says %s', async (code) => {
    rxeNaks.mockRejectedValueOnce(coded(code)).mockResolvedValueOnce([nak(17)]);
    expect(await keptNaks(driver('a', 'b'), '/ns')).toEqual([nak(17)]);
  });

  it('are read again after any other failure', async () => {
    rxeNaks.mockRejectedValueOnce(coded('ETIMEDOUT'));
    await expect(keptNaks(driver('a'), '/ns')).rejects.toThrow('ETIMEDOUT');
  });

  it('are given to the device whose queue pair awaits them', async () => {
    rxeRestoreNaks.mockImplementation(async ({ device, naks }) =>
      naks.filter(({ qpn }) => qpn !== (device === 'a' ? 17 : 18)),
    );
    expect(await giveNaks(driver('a', 'b'), '/ns', [nak(18), nak(17)])).toEqual([]);
    expect(await giveNaks(driver('a', 'b'), '/ns', [nak(17), nak(19)])).toEqual([nak(19)]);
  });

  it('are not given twice to a device that has resumed', async () => {
    rxeRestoreNaks.mockRejectedValue(coded('EBUSY'));
    expect(await giveNaks(driver('a'), '/ns', [nak(17)])).toEqual([]);
  });

  it('cost nothing if there are none', async () => {
    const devices = vi.fn(async () => []);
    expect(await giveNaks({ devices }, '/ns', [])).toEqual([]);
    expect(devices).not.toHaveBeenCalled();
  });

  it('are given again after any other failure', async () => {
    rxeRestoreNaks.mockRejectedValueOnce(coded('EIO'));
    await expect(giveNaks(driver('a'), '/ns', [nak(17)])).rejects.toThrow('EIO');
  });
});

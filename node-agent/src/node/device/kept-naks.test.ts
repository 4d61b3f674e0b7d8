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
const failed = (code: string) => ({
  ...{ code: 'Internal', message: expect.stringContaining(code) as string },
});
const kept = (naks: Nak[], ...failures: unknown[]) => ({ naks, failures });
const given = (refused: Nak[], ...failures: unknown[]) => ({ refused, failures });
const driver = (...names: string[]) => ({
  devices: async () => names.map((name) => ({ name })) as RdmaDevice[],
});

describe('NAKs that end a connection', () => {
  beforeEach(() => vi.resetAllMocks());

  it('are read from every device', async () => {
    rxeNaks.mockImplementation(async ({ device }) => [nak(device === 'a' ? 17 : 18)]);
    expect(await keptNaks(driver('a', 'b'), '/ns')).toEqual(kept([nak(17), nak(18)]));
    expect(await keptNaks(driver(), '/ns')).toEqual(kept([]));
  });

  it.each(['EBUSY', 'AbiMismatch'])('are not on a device that says %s', async (code) => {
    rxeNaks.mockRejectedValueOnce(coded(code)).mockResolvedValueOnce([nak(17)]);
    expect(await keptNaks(driver('a', 'b'), '/ns')).toEqual(kept([nak(17)]));
  });

  it.each(['ETIMEDOUT', 'EINVAL', 'ENOENT'])(
    'of the other devices are read though one says %s',
    async (code) => {
      rxeNaks.mockRejectedValueOnce(coded(code)).mockResolvedValueOnce([nak(17)]);
      expect(await keptNaks(driver('a', 'b'), '/ns')).toEqual(kept([nak(17)], failed(code)));
    },
  );

  it('are given to the device whose queue pair awaits them', async () => {
    rxeRestoreNaks.mockImplementation(async ({ device, naks }) =>
      naks.filter(({ qpn }) => qpn !== (device === 'a' ? 17 : 18)),
    );
    expect(await giveNaks(driver('a', 'b'), '/ns', [nak(18), nak(17)])).toEqual(given([]));
    expect(await giveNaks(driver('a', 'b'), '/ns', [nak(17), nak(19)])).toEqual(given([nak(19)]));
  });

  it('are not given twice to a device that has resumed', async () => {
    rxeRestoreNaks.mockRejectedValue(coded('EBUSY'));
    expect(await giveNaks(driver('a'), '/ns', [nak(17)])).toEqual(given([]));
  });

  it('are given to the other devices when one has resumed already', async () => {
    rxeRestoreNaks.mockRejectedValueOnce(coded('EBUSY')).mockResolvedValueOnce([nak(17)]);
    // The one that has resumed may have taken it before.
    expect(await giveNaks(driver('a', 'b'), '/ns', [nak(17), nak(18)])).toEqual(given([]));
    expect(rxeRestoreNaks).toHaveBeenLastCalledWith({
      ...{ netns: '/ns', device: 'b', naks: [nak(17), nak(18)] },
    });
  });

  it('cost nothing if there are none', async () => {
    const devices = vi.fn(async () => []);
    expect(await giveNaks({ devices }, '/ns', [])).toEqual(given([]));
    expect(devices).not.toHaveBeenCalled();
  });

  // With EINVAL and ENOENT a namespace that is gone answers, too: nothing of it is to be resumed then.
  it.each(['EIO', 'EINVAL', 'ENOENT'])(
    'are given to the other devices though one says %s',
    async (code) => {
      rxeRestoreNaks.mockRejectedValueOnce(coded(code)).mockResolvedValueOnce([nak(17)]);
      expect(await giveNaks(driver('a', 'b'), '/ns', [nak(17), nak(18)])).toEqual(
        given([nak(17)], failed(code)),
      );
    },
  );

  it('are refused by a device of another driver', async () => {
    rxeRestoreNaks.mockRejectedValue(coded('AbiMismatch'));
    expect(await giveNaks(driver('a'), '/ns', [nak(17)])).toEqual(given([nak(17)]));
  });
});

// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { applied, bandwidthOf, MigrationPolicy, sendingMs } from './index.ts';

const policy = (bandwidthPerMigration: unknown): object => ({
  metadata: { name: 'slow' },
  spec: { limits: { bandwidthPerMigration } },
});

describe('the bandwidth of a policy', () => {
  it.each<[string, number]>([
    ['64Ki', 65_536],
    ['64Mi', 67_108_864],
    ['1.5Gi', 1_610_612_736],
    ['100M', 100_000_000],
    ['1000000', 1_000_000],
    ['100k', 100_000],
    ['2T', 2e12],
  ])('%s is %d bytes a second', (text, bytes) => {
    const limit = bandwidthOf(applied(MigrationPolicy.parse(policy(text))));
    expect(limit).toEqual({
      bytesPerSecond: bytes,
      text: `${text}/s, as MigrationPolicy slow allows`,
    });
  });

  it('is none where the policy says none', () => {
    expect(bandwidthOf(undefined)).toBeUndefined();
    expect(bandwidthOf(applied(MigrationPolicy.parse({ ...policy(undefined) })))).toBeUndefined();
  });

  it.each([
    ['0'],
    ['-1'],
    ['64K'],
    ['64mi'],
    ['1e9'],
    ['64 Mi'],
    ['Mi'],
    [''],
    ['63Ki'],
    [64],
    [null],
  ])('is refused by name as %j', (value) => {
    const { error } = MigrationPolicy.safeParse(policy(value));
    expect(error?.issues[0]?.path).toEqual(['spec', 'limits', 'bandwidthPerMigration']);
  });

  it('says how long bytes take at least', () => {
    const limit = { bytesPerSecond: 2 ** 20, text: '' };
    expect([sendingMs(0, limit), sendingMs(2 ** 20, limit), sendingMs(1, limit)]).toEqual([
      0, 1000, 0,
    ]);
  });
});

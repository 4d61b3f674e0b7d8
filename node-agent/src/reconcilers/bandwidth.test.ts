// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { MigrationRequest } from '../../../crds/src/index.ts';
import type { LocalPod } from '../node/dump/checkpointer.ts';
import { reasonOf } from '../support/errors.ts';
import { checkBandwidth, leastSent } from './bandwidth.ts';

const MIB = 2 ** 20;
const request = (policy: object | undefined, timeouts: object = {}) =>
  MigrationRequest.parse({
    metadata: { name: 'move' },
    spec: { podName: 'p', timeouts },
    status: policy && { policy: { name: 'slow', generation: 1, ...policy } },
  });
const limited = { limits: { bandwidthPerMigration: '1Mi' } };
const refusal = (...args: Parameters<typeof checkBandwidth>) => {
  try {
    checkBandwidth(...args);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
};

describe('the bandwidth of a policy', () => {
  it.each<[string, object | undefined, object, number, RegExp | undefined]>([
    ['none', undefined, {}, 1e15, undefined],
    ['none in the policy', { limits: { migrations: 1 } }, {}, 1e15, undefined],
    ['enough', limited, {}, 60 * MIB, undefined],
    [
      'too little for the step',
      limited,
      {},
      61 * MIB,
      /^Sending at least 61 MiB takes 61\.0 s at 1Mi\/s, as MigrationPolicy slow allows, and step transfer may take 60 s \(timeouts\.transferSeconds /,
    ],
    ['enough for a longer step', limited, { transferSeconds: 90 }, 80 * MIB, undefined],
    ['too little for a shorter one', limited, { transferSeconds: 5 }, 6 * MIB, /may take 5 s/],
    [
      'too little for the policy’s step',
      { ...limited, timeouts: { transferSeconds: 5 } },
      { transferSeconds: 90 },
      6 * MIB,
      /may take 5 s/,
    ],
    ['too little for a short blackout', limited, { blackoutSeconds: 5 }, 6 * MIB, /may take 5 s/],
    [
      'too little for the whole blackout',
      limited,
      { blackoutSeconds: 5 },
      5 * MIB,
      /takes 5\.0 s at 1Mi\/s.*, and the whole move, which then needs 5\.4 s, 5 s \(timeouts\.blackoutSeconds/,
    ],
    ['enough for nothing', limited, { blackoutSeconds: 1 }, 0, undefined],
  ])('is %s', (_name, policy, timeouts, bytes, wanted) => {
    const found = refusal(request(policy, timeouts), bytes);
    expect(found?.code).toBe(wanted && 'BandwidthTooLow');
    if (wanted) expect(found?.message).toMatch(wanted);
  });

  it('makes files count, which are not looked at without it', async () => {
    let looks = 0;
    const checkpointer = (files: number | undefined) => ({
      leastBytes: async () => 10,
      fileBytes: async () => {
        looks++;
        return files;
      },
    });
    const pod = {} as LocalPod;
    expect(await leastSent(request(undefined), checkpointer(5), pod)).toBe(10);
    expect(looks).toBe(0);
    expect(await leastSent(request(limited), checkpointer(5), pod)).toBe(15);
    expect(await leastSent(request(limited), checkpointer(undefined), pod)).toBe(10);
  });
});

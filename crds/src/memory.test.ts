// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import {
  formatNodeMemory,
  lacksMemory,
  neededBytes,
  parseNodeMemory,
  roomIn,
  reportedMemory,
  type NodeMemory,
  type PodMemory,
} from './memory.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const huge = 2 * MIB;
const renewed = '2026-01-01T00:00:00.000000Z';
const node = (available: number, more: Partial<NodeMemory> = {}): NodeMemory => ({
  ...{ available, hugePages: new Map(), keepsImages: false },
  ...more,
});
const pages = (bytes: number, pageSize = huge): PodMemory => ({
  bytes: 0,
  hugePages: [{ pageSize, bytes }],
});

describe('a node’s memory', () => {
  it.each<NodeMemory>([
    node(0),
    node(5 * GIB),
    node(64 * 2 ** 40, { hugePages: new Map([[huge, 0]]) }),
    node(1, {
      keepsImages: true,
      hugePages: new Map([
        [huge, 8 * huge],
        [GIB, GIB],
      ]),
    }),
  ])('is read as it was written', (memory) => {
    expect(parseNodeMemory(formatNodeMemory(memory, renewed), renewed)).toEqual(memory);
  });

  it.each([undefined, '', 'available=', 'available=-1', 'available=1e9', 'hugepages-2097152=7'])(
    'is not known from %j',
    (text) => {
      expect(parseNodeMemory(text && `${text},renewed=${renewed}`, renewed)).toBeUndefined();
    },
  );

  it.each(['2026-01-01T00:00:15.000000Z', '', null, undefined])(
    'is old once an agent that does not write it has renewed the Lease at %s',
    (later) => {
      expect(parseNodeMemory(formatNodeMemory(node(GIB), renewed), later)).toBeUndefined();
    },
  );

  it('is known beside what a later version may say', () => {
    const text = `numa=2,available=7,hugepages-x=3,images=disk,renewed=${renewed}`;
    expect(parseNodeMemory(text, renewed)).toEqual(node(7));
  });
});

describe('a pod', () => {
  const pod = { bytes: 4 * GIB };
  const needed = neededBytes(pod.bytes);

  it.each<[string, PodMemory | undefined, NodeMemory | undefined, number, RegExp | undefined]>([
    ['fits to the byte', pod, node(needed), 0, undefined],
    ['lacks a byte', pod, node(needed - 1), 0, /has 4\.3 GiB \(\d+ bytes\) .* need 4\.3 GiB/],
    ['fits beside another one', pod, node(needed + GIB), GIB, undefined],
    [
      'lacks what another one takes',
      pod,
      node(needed + GIB - 1),
      GIB,
      /, of which pods on their way there take 1 GiB \(1073741824 bytes\); the pod and/,
    ],
    [
      'lacks what its images take',
      pod,
      node(needed, { keepsImages: true }),
      0,
      /the pod and its images and some to spare need 8\.3 GiB/,
    ],
    ['fits with its images', pod, node(needed + pod.bytes, { keepsImages: true }), 0, undefined],
    ['has none of its own', { bytes: 0 }, node(192 * MIB), 0, undefined],
    ['has none, and the node too little', { bytes: 0 }, node(0), 0, /has 0 bytes of memory/],
    ['is of an older agent', undefined, node(0), 0, undefined],
    ['is not known there', pod, undefined, 0, undefined],
    [
      'has its huge pages',
      pages(8 * huge),
      node(GIB, { hugePages: new Map([[huge, 8 * huge]]) }),
      0,
      undefined,
    ],
    [
      'lacks one huge page',
      pages(8 * huge),
      node(GIB, { hugePages: new Map([[huge, 7 * huge]]) }),
      0,
      /has 14 MiB \(14680064 bytes\) of free huge pages of 2 MiB; the pod has 16 MiB/,
    ],
    [
      'lacks huge pages of that size',
      pages(GIB, GIB),
      node(4 * GIB, { hugePages: new Map([[huge, 4 * GIB]]) }),
      0,
      /has 0 bytes of free huge pages of 1 GiB/,
    ],
  ])('%s', (_name, of, on, taken, why) => {
    const found = lacksMemory(of, on, taken);
    if (why) expect(found).toMatch(why);
    else expect(found).toBeUndefined();
  });
});

it.each([true, false])(
  'the largest pod fits, and no larger one, images in memory: %s',
  (keepsImages) => {
    for (const available of [0, 192 * MIB, 192 * MIB + 1, GIB, 7 * GIB + 12_345]) {
      const bytes = roomIn(node(available, { keepsImages }));
      const lacks = (more: number) =>
        lacksMemory({ bytes: bytes + more }, node(available, { keepsImages })) !== undefined;
      expect([lacks(0), lacks(2)]).toEqual([available < 192 * MIB, true]);
    }
  },
);

describe('a report', () => {
  const first = reportedMemory({ bytes: 100 * MIB }, undefined);

  it('has some headroom, in whole MiB', () => {
    expect(first).toEqual({ bytes: 107 * MIB });
    expect(reportedMemory({ bytes: 0 }, undefined)).toEqual({ bytes: 0 });
    expect(reportedMemory({ bytes: 1 }, undefined)).toEqual({ bytes: MIB });
  });

  it.each<[string, number, boolean]>([
    ['that is still right', 107 * MIB, true],
    ['of a pod that has grown', 107 * MIB + 1, false],
    ['of a pod that is a bit smaller', 54 * MIB, true],
    ['of a pod that is much smaller', 53 * MIB, false],
  ])('%s', (_name, bytes, isSame) => {
    expect(reportedMemory({ bytes }, first) === first).toBe(isSame);
  });

  it('follows huge pages at once', () => {
    expect(reportedMemory(pages(huge), reportedMemory(pages(2 * huge), undefined))).toEqual(
      pages(huge),
    );
  });

  it('of a pod that grows without end takes few writes', () => {
    let [report, writes] = [reportedMemory({ bytes: MIB }, undefined), 1];
    for (let bytes = MIB; bytes < 64 * GIB; bytes += bytes / 1000) {
      const next = reportedMemory({ bytes: Math.floor(bytes) }, report);
      if (next !== report) writes++;
      report = next;
    }
    expect(writes).toBeLessThan(200);
  });
});

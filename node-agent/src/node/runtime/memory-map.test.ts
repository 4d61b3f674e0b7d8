// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firstGap, readMemoryMap } from './memory-map.ts';

let proc: string;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'sealift-maps-'));
});
afterEach(() => rm(proc, { recursive: true }));

const maps = `55d0c0a00000-55d0c0a02000 r--p 00000000 fe:01 123  /usr/bin/app
7f0000000000-7f0000002000 rw-p 00000000 00:00 0
7f0000002000-7f0000003000 r--p 00000000 00:00 0
7f0000003000-7f0000004000 rw-s 00000000 00:01 9  /memfd:a b (deleted)
7f0000005000-7f0000006000 ---p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]
`;

async function gap(start: number, length: number, isWritable: boolean) {
  await mkdir(join(proc, '42'), { recursive: true });
  await writeFile(join(proc, '42', 'maps'), maps);
  return firstGap((await readMemoryMap(42, proc)) ?? [], { start, length, isWritable });
}

describe('the memory of a process', () => {
  it.each([
    ['within one mapping', 0x7f0000000010, 0x1000, true, undefined],
    ['all of one', 0x7f0000000000, 0x2000, true, undefined],
    ['over several', 0x7f0000000010, 0x3ff0, false, undefined],
    ['empty', 0x7f0000004000, 0, true, undefined],
    ['over a protected one', 0x7f0000000000, 0x4000, true, 0x7f0000002000],
    ['to behind the end', 0x7f0000003000, 0x1001, true, 0x7f0000004000],
    ['in a hole', 0x7f0000004800, 0x10, false, 0x7f0000004800],
    ['over one that cannot be read', 0x7f0000005000, 0x10, false, 0x7f0000005000],
    ['below all', 0x1000, 0x10, false, 0x1000],
    ['above all', 0x7fff00000000, 0x10, false, 0x7fff00000000],
  ])('is looked at for a region %s', async (_what, start, length, isWritable, at) => {
    expect(await gap(start, length, isWritable)).toBe(at);
  });

  it('is not known of a process that has ended, or has none', async () => {
    expect(await readMemoryMap(43, proc)).toBeUndefined();
    await mkdir(join(proc, '44'));
    await writeFile(join(proc, '44', 'maps'), '');
    expect(await readMemoryMap(44, proc)).toBeUndefined();
  });

  it('has the queues of RDMA devices, and where they begin in the device', async () => {
    await mkdir(join(proc, '45'));
    const lines = [
      '7f0000000000-7f0000002000 rw-s 0a005000 00:05 300                        /dev/infiniband/uverbs0',
      '7f0000003000-7f0000004000 rwxs 00001000 00:05 300 /dev/infiniband/uverbs12 (deleted)',
      '7f0000005000-7f0000006000 rw-s 00001000 00:05 300 /data/dev/infiniband/uverbs0',
      '7f0000007000-7f0000008000 r--p 00002000 fe:01 12  /lib/a b.so',
    ];
    await writeFile(join(proc, '45', 'maps'), lines.join('\n'));
    expect((await readMemoryMap(45, proc))?.map(({ queue }) => queue)).toEqual([
      { offset: 0xa005000, isExecutable: false },
      { offset: 0x1000, isExecutable: true },
      undefined,
      undefined,
    ]);
  });

  it('is read of this process', async () => {
    expect((await readMemoryMap(process.pid))?.length).toBeGreaterThan(10);
  });
});

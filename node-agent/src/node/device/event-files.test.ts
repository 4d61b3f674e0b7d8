// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { RxeEventFile } from '../../../../native/addon/index.ts';
import { unknownFiles } from './event-files.ts';

const nameOf = (pid: number) => `Process ${pid}`;
const open = (fd = 3) => {
  const nothing = { unreadEvents: 0, channels: 0, asyncFiles: 1, others: [] };
  return { pid: 40, container: 'main', fd, context: 1, ...nothing };
};

describe('descriptors of verbs contexts', () => {
  const uverbs = { pid: 40, fd: 3, link: '/dev/infiniband/uverbs0' };
  const event = { pid: 40, fd: 4, link: 'anon_inode:[infinibandevent]' };
  const file: RxeEventFile = { pid: 40, fd: 4, kind: 'async', context: 1, unread: 0 };
  const look = (files = [uverbs, event], opened = [open()], eventFiles = [file]) => [
    ...unknownFiles(files, { opened, eventFiles }, nameOf),
  ];

  it('can be moved if each is known', () => expect(look()).toEqual([]));

  it('cannot be moved without a context', () => {
    expect(look([uverbs, event], [], [])).toEqual([
      expect.stringMatching(
        /^Process 40 has \/dev\/infiniband\/uverbs0 open \(descriptor 3\) without/,
      ),
      expect.stringMatching(/^Process 40 has a completion channel .* \(descriptor 4\) whose verbs/),
    ]);
    expect(
      look(undefined, undefined, [
        { pid: 40, fd: 4 },
        { ...file, pid: 41 },
      ]),
    ).toHaveLength(1);
  });

  it('cannot be moved from another directory, where a dump does not look', () => {
    expect(look([event])).toEqual([
      expect.stringMatching(
        /^Process 40 has opened its RDMA device \(descriptor 3\) by another path/,
      ),
    ]);
  });
});

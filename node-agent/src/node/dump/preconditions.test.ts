// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { checkComplete, checkIpc, checkUnchanged } from './preconditions.ts';

const found = [
  { id: 'c1', name: 'main' },
  { id: 'c2', name: 'side' },
];

describe('preconditions of a dump', () => {
  it('accept a pod with all of its containers and no others', () => {
    expect(() => checkComplete(found, ['side', 'main'])).not.toThrow();
    expect(() => checkComplete(found, ['main', 'side', 'more'])).toThrow(
      /Container more does not run/,
    );
    expect(() => checkComplete(found, ['main'])).toThrow(/Container side is not .* debug/);
  });

  it('refuse a container that was restarted', () => {
    expect(() => checkUnchanged(found, [])).not.toThrow();
    expect(() => checkUnchanged(found, found)).not.toThrow();
    expect(() => checkUnchanged(found, [{ id: 'c0', name: 'main' }])).toThrow(/Container main/);
  });

  it('refuse System V IPC objects of a pod with several containers', async () => {
    const asked: string[] = [];
    const count = async (path: string) => {
      asked.push(path);
      return { shm: 1, sem: 0, msg: 2 };
    };
    await checkIpc([{ pid: 7 }], count);
    expect(asked).toEqual([]);
    await expect(checkIpc([{ pid: 7 }, { pid: 8 }], count)).rejects.toMatchObject({
      code: 'UnsupportedObject',
      message: expect.stringMatching(/1 shared memory segments, 2 message queues/) as string,
    });
    expect(asked).toEqual(['/proc/7/ns/ipc']);
    await checkIpc([{ pid: 7 }, { pid: 8 }], async () => ({ shm: 0, sem: 0, msg: 0 }));
  });
});

// SPDX-License-Identifier: Apache-2.0
// Mounts and open files as the kernel describes them; no file server is asked.
import { constants } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Host, type RunOptions } from '../host/host.ts';
import { flushSharedMounts, reasonOfSharedFile, sharedMounts } from './shared-files.ts';

const line = (id: number, path: string, type: string, options = 'rw') =>
  `${id} 30 0:52 / ${path} rw,relatime - ${type} source ${options}`;
const mounts = (options = 'rw,vers=4.2,local_lock=none') =>
  sharedMounts([line(7, '/data', 'nfs4', options), line(8, '/', 'overlay'), ''].join('\n'));

const reason = (
  info: string,
  { link = '/data/file', options }: { link?: string; options?: string } = {},
) => {
  const text = `pos:\t0\nflags:\t0100002\nmnt_id:\t7\n${info}`;
  return reasonOfSharedFile({ at: '/dev/null', link, info: text }, mounts(options));
};

describe('mounts that other nodes have too', () => {
  it('are those of no local file system', () => {
    const text = [
      'nfs4',
      'ceph',
      'cifs',
      'fuse.glusterfs',
      'virtiofs',
      'xfs',
      'tmpfs',
      'fuse.lxcfs',
    ];
    const found = sharedMounts(text.map((type, id) => line(id, `/${id}`, type)).join('\n'));
    expect([...found.values()].map(({ type }) => type)).toEqual(text.slice(0, 5));
  });
});

describe('an open file on one', () => {
  it('moves if root may open it', async () => {
    expect(await reason('')).toBeUndefined();
  });

  it.each(['FLOCK', 'POSIX', 'OFDLCK', 'LEASE'])('does not with a lock: %s', async (kind) => {
    const lock = `lock:\t1: ${kind}  ADVISORY  WRITE 359 00:34:11691 0 EOF\n`;
    expect(await reason(lock)).toMatch(new RegExp(`^holds a lock \\(${kind}\\) on /data/file`));
    expect(await reason(lock, { options: 'rw,local_lock=all' })).toBeUndefined();
    const own = kind === 'FLOCK' ? 'flock' : 'posix';
    expect(await reason(lock, { options: `rw,local_lock=${own}` })).toBeUndefined();
    const other = kind === 'FLOCK' ? 'posix' : 'flock';
    expect(await reason(lock, { options: `rw,local_lock=${other}` })).toMatch(/lock/);
  });

  it('does not after it was removed', async () => {
    expect(await reason('', { link: '/data/.nfs00000000012a4b7c00000001' })).toMatch(/was removed/);
    expect(await reason('', { link: '/data/.nfsrc' })).toBeUndefined();
  });

  it('is any file elsewhere', async () => {
    const info = 'mnt_id:\t8\nlock:\t1: FLOCK  ADVISORY  WRITE 359 00:34:11691 0 EOF\n';
    const file = { at: '/dev/null', link: '/data/.nfs00000000012a4b7c00000001', info };
    expect(await reasonOfSharedFile(file, mounts())).toBeUndefined();
  });

  it.each([
    ['00', constants.R_OK],
    ['0100001', constants.W_OK],
    ['02', constants.R_OK | constants.W_OK],
  ])('does not if the server refuses root what flags %s ask for', async (flags, mode) => {
    const file = { at: '/proc/1/fd/3', link: '/data/app', info: `flags:\t${flags}\nmnt_id:\t7\n` };
    const asked: unknown[] = [];
    const refuse = async (...args: unknown[]) => {
      asked.push(args);
      throw Object.assign(new Error('no'), { code: 'EACCES' });
    };
    expect(await reasonOfSharedFile(file, mounts(), refuse)).toMatch(/no_root_squash/);
    expect(asked).toEqual([['/proc/1/fd/3', mode]]);
  });
});

describe('what this node keeps of such files', () => {
  it('is written back, mount by mount; nothing is for a pod without any', async () => {
    const ran: string[][] = [];
    class Recording extends Host {
      override async check(program: string, args: readonly string[], _options: RunOptions = {}) {
        ran.push([program, ...args]);
        return '';
      }
    }
    await flushSharedMounts(new Recording({ root: '/' }), [process.pid]);
    expect(ran.every(([program]) => program === 'sync')).toBe(true);
    expect(ran.some((args) => args.at(-1) === `/proc/${process.pid}/root/proc`)).toBe(false);
  });
});

// SPDX-License-Identifier: Apache-2.0
// Which containerd of a node is the kubelet's. Over real files in a directory that stands for /proc.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configPathOf, findContainerd, majorOf, unitOf } from './containerd.ts';

const MAIN = '/etc/containerd/config.toml';
let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'containerd-proc-'));
});
afterEach(() => rm(root, { recursive: true }));
const put = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
};

describe('the runtime that runs', () => {
  const process = async (pid: number, argv: string[], cgroup: string): Promise<void> => {
    await put(`/proc/${pid}/cmdline`, `${argv.join('\0')}\0`);
    await put(`/proc/${pid}/cgroup`, `0::${cgroup}\n`);
  };

  it('is found by its process, with the file of its command line', async () => {
    await process(7, ['/usr/bin/containerd-shim-runc-v2'], '/x.service');
    await expect(findContainerd(join(root, 'proc'))).rejects.toThrow('No containerd runs');
    await process(
      9,
      ['/usr/bin/containerd', '-c', '/etc/c.toml'],
      '/system.slice/containerd.service',
    );
    // Its package has been updated since.
    await symlink('/usr/sbin/containerd (deleted)', join(root, 'proc/9/exe'));
    expect(await findContainerd(join(root, 'proc'))).toEqual({
      ...{ pid: 9, program: '/usr/sbin/containerd' },
      ...{ mainFile: '/etc/c.toml', unit: 'containerd.service' },
    });
    expect(configPathOf(['containerd', '--config=/a.toml'])).toBe('/a.toml');
    expect(configPathOf(['containerd', '--config', '/a.toml'])).toBe('/a.toml');
    expect(configPathOf(['containerd'])).toBe(MAIN);
    expect(unitOf('0::/system.slice/containerd.service\n')).toBe('containerd.service');
    expect(unitOf('0::/docker/abc\n')).toBeUndefined();
  });

  it('is refused by name if it is none that Sealift knows', async () => {
    expect([majorOf('containerd://1.7.24'), majorOf('containerd://2.4.2')]).toEqual([1, 2]);
    for (const other of ['cri-o://1.35.0', 'docker://28.1', ''])
      expect(() => majorOf(other)).toThrow('Sealift works with containerd');
    await process(
      9,
      ['containerd', '-c', '/var/lib/rancher/k3s/agent/etc/containerd/config.toml'],
      '/k3s.service',
    );
    await expect(findContainerd(join(root, 'proc'))).rejects.toThrow('generates containerd');
    await rm(join(root, 'proc/9'), { recursive: true });
    // Talos
    await process(9, ['/bin/containerd', '--config', '/etc/cri/containerd.toml'], '/podruntime');
    await expect(findContainerd(join(root, 'proc'))).rejects.toThrow('by hand');
  });

  it('is the one that serves the kubelet, where several run', async () => {
    // Docker's, that of a container which runs Docker itself, and Bottlerocket's for the host.
    await process(
      3,
      ['containerd', '--config', '/var/run/docker/containerd/containerd.toml'],
      '/system.slice/docker.service',
    );
    await process(4, ['containerd', '-c', '/inner.toml'], '/kubepods/x/containerd.service');
    await process(
      5,
      ['containerd', '-c', '/etc/host-containerd/config.toml'],
      '/system.slice/host-containerd.service',
    );
    await process(6, ['containerd'], '/system.slice/containerd.service');
    for (const [pid, namespace] of [
      [1, 'a'],
      [3, 'a'],
      [4, 'b'],
      [5, 'a'],
      [6, 'a'],
    ] as const) {
      await mkdir(join(root, `proc/${pid}/ns`), { recursive: true });
      await symlink(`pid:[${namespace}]`, join(root, `proc/${pid}/ns/pid`));
    }
    const proc = join(root, 'proc');
    await expect(findContainerd(proc)).rejects.toThrow('2 containerds run on this node');
    const sockets = [
      '0000: 00000002 00000000 00010000 0001 01 77 /run/host-containerd/containerd.sock',
      '0000: 00000002 00000000 00010000 0001 01 78 /run/containerd/containerd.sock',
    ];
    for (const [pid, inode] of [
      [5, 77],
      [6, 78],
    ] as const) {
      await put(`/proc/${pid}/net/unix`, `Num RefCount\n${sockets.join('\n')}\n`);
      await mkdir(join(root, `proc/${pid}/fd`));
      await symlink(`socket:[${inode}]`, join(root, `proc/${pid}/fd/8`));
    }
    expect(await findContainerd(proc)).toMatchObject({ pid: 6, mainFile: MAIN });
  });
});

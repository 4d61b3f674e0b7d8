// SPDX-License-Identifier: Apache-2.0
// The switch LAB_CONTAINERD, with everything that takes long replaced.
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const top = new URL('../../..', import.meta.url).pathname;

function shell(lines: string, LAB_CONTAINERD: string): string[] {
  const sourced = ['config', 'cache', 'binaries', 'rootfs', 'containerd']
    .map((part) => `. ${top}/e2e/lab/lib/${part}.sh`)
    .join('\n');
  const fakes = `for f in rootfs_tree_key binaries_key rootfs_seed_sums kind_binaries_key; do eval "$f() { echo $f; }"; done
    cache_key() { printf '%s' "$*" | sha256sum | cut -c1-16; }`;
  const done = spawnSync('bash', ['-c', `set -euo pipefail\n${sourced}\n${fakes}\n${lines}`], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', LAB: '/lab', LAB_CONTAINERD },
  });
  expect([done.status, done.stderr]).toEqual([0, '']);
  return done.stdout.trim().split('\n');
}

describe('a lab with containerd 2.x', () => {
  it('has a disk with a name and a key of its own, and leaves the other as it is', () => {
    const [one = ''] = shell('rootfs_dir', '1');
    const [two = ''] = shell('rootfs_dir', '2');
    expect(one).toMatch(/^\/lab\/cache\/node-disk-[0-9a-f]{16}$/);
    expect(two).toMatch(/^\/lab\/cache\/node-disk-containerd2-[0-9a-f]{16}$/);
    expect(two.slice(-16)).not.toBe(one.slice(-16));
  });

  it('gets it after Debian’s containerd has imported the images, and before the disk is made', () => {
    const steps = `rootfs_build_disk() { echo seed; rootfs_finish_disk "$1"; }; rootfs_finish_disk() { echo "disk $1"; }
      containerd_install() { echo "install $1"; }; containerd_build_disk /out`;
    expect(shell(steps, '2')).toEqual(['seed', 'install /out/root', 'disk /out']);
  });
});

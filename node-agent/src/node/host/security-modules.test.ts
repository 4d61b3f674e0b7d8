// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { securityModules } from './security-modules.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sealift-lsm-'));
});
afterEach(() => rm(root, { recursive: true }));

const APPARMOR = 'sys/module/apparmor/parameters/enabled';

describe('the security modules of a node', () => {
  it.each<[string, Record<string, string>, string]>([
    ['nothing', {}, 'none'],
    ['AppArmor', { [APPARMOR]: 'Y\n' }, 'apparmor'],
    ['AppArmor that is off', { [APPARMOR]: 'N\n' }, 'none'],
    ['SELinux', { 'proc/filesystems': 'nodev\tsysfs\nnodev\tselinuxfs\n\text4\n' }, 'selinux'],
    [
      'two of them',
      { 'proc/filesystems': 'nodev\tsmackfs\n', [APPARMOR]: 'Y\n' },
      'apparmor,smack',
    ],
    ['a file system of another name', { 'proc/filesystems': 'nodev\tmyselinuxfs\n' }, 'none'],
  ])('with %s', async (_, files, expected) => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    expect(await securityModules(root)).toBe(expected);
  });

  it('are those of the running kernel', async () => {
    expect(await securityModules()).toMatch(/^(none|[a-z]+(,[a-z]+)*)$/);
  });
});

// SPDX-License-Identifier: Apache-2.0
// The security modules of this node's kernel that confine a container's tasks by a label or a profile. CRIU gives a task back
// the one that it had, which a kernel without the module does not know.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessErrno } from '../../support/errors.ts';

/** Each registers its file system only if it is in use (init_sel_fs(), init_smk_fs()). */
const BY_FILE_SYSTEM = { selinuxfs: 'selinux', smackfs: 'smack' } as const;

/**
 * Their names, in alphabetical order; `none`. They do not change until the next boot.
 * @param root where the kernel's /proc and /sys are
 */
export async function securityModules(root = '/'): Promise<string> {
  const text = (path: string) => unlessErrno(readFile(join(root, path), 'utf8'), 'ENOENT');
  const fileSystems = ((await text('proc/filesystems')) ?? '').split(/\s+/);
  const found: string[] = Object.entries(BY_FILE_SYSTEM)
    .filter(([type]) => fileSystems.includes(type))
    .map(([, name]) => name);
  if ((await text('sys/module/apparmor/parameters/enabled'))?.trim() === 'Y')
    found.push('apparmor');
  return found.length > 0 ? found.sort().join(',') : 'none';
}

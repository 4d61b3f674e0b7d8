// SPDX-License-Identifier: Apache-2.0
// Tests only: arms the CRIU plugin's fault points. The plugin reads them from its environment, which whoever starts
// CRIU sets; here they are armed like the agent's own, by files in SEALIFT_FAULT_DIR.
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../support/errors.ts';

const PREFIX = 'plugin.';

/**
 * Takes what is armed for the next dump or restore.
 * @returns what to add to CRIU's environment
 */
export async function pluginFaults(of: 'dump' | 'restore'): Promise<Record<string, string>> {
  const folder = process.env['SEALIFT_FAULT_DIR'];
  if (folder === undefined) return {};
  const points: string[] = [];
  for (const name of await listed(folder)) {
    if (!name.startsWith(`${PREFIX}${of}.`)) continue;
    const action = (await readFile(join(folder, name), 'utf8')).trim() || 'crash';
    await rm(join(folder, name));
    points.push(name.slice(PREFIX.length) + (action === 'crash' ? ':kill' : ''));
  }
  return points.length > 0 ? { SEALIFT_FAULT: points.join(',') } : {};
}

async function listed(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

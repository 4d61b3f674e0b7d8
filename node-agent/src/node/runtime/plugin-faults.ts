// SPDX-License-Identifier: Apache-2.0
// Tests only: arms the CRIU plugin's fault points (docs/faults.md) by files in SEALIFT_FAULT_DIR, like the agent's own.
// The plugin reads them from the environment of CRIU, so the callers add the result to it.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../../support/optional-file.ts';

const PREFIX = 'plugin.';

/**
 * Takes the points that are armed for the next dump or restore, and removes their files.
 * @returns variables to add to CRIU's environment; empty if no point is armed
 */
export async function pluginFaults(of: 'dump' | 'restore'): Promise<Record<string, string>> {
  const directory = process.env['SEALIFT_FAULT_DIR'];
  if (directory === undefined) return {};
  const points: string[] = [];
  for (const name of (await namesIn(directory)).sort()) {
    if (!name.startsWith(`${PREFIX}${of}.`)) continue;
    const action = (await readFile(join(directory, name), 'utf8')).trim() || 'crash';
    await rm(join(directory, name));
    points.push(name.slice(PREFIX.length) + (action === 'crash' ? ':kill' : ''));
  }
  return points.length > 0 ? { SEALIFT_FAULT: points.join(',') } : {};
}

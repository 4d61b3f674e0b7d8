// SPDX-License-Identifier: Apache-2.0
// Which containers of the node run with Sealift's runtime, by what containerd keeps of each.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { BUNDLES } from './containers.ts';

/** Ids of the node's containers and sandboxes that run with Sealift's runtime. */
export async function sealiftContainers(host: Host, binary: string): Promise<string[]> {
  const found: string[] = [];
  const bundles = host.path(BUNDLES);
  for (const id of await namesIn(bundles)) {
    // What containerd's shim was started with (containerd 1.7 and 2.x).
    for (const file of ['options.json', 'runtime']) {
      const text = await readFile(join(bundles, id, file), 'utf8').catch(() => '');
      if (!text.includes(binary)) continue;
      found.push(id);
      break;
    }
  }
  return found;
}

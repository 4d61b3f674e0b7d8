// SPDX-License-Identifier: Apache-2.0
// Image archives onto the nodes of the cluster, each once.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { onNode, readyNodes } from './cluster.ts';
import { run, top } from './command.ts';
import { provider } from './provider/choice.ts';

type Image = 'operator' | 'agent' | 'workloads' | 'applications';

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/**
 * Imports an image's archive on each node that lacks it. A mark file on the node has the digest of what it has.
 * @returns whether a node lacked it
 */
export async function loadImage(image: Image, log: (line: string) => void): Promise<boolean> {
  const archive = `${top}/build/images/${image}.tar`;
  const sum = await digest(archive);
  const mark = `/var/lib/sealift-lab-image-${image}`;
  const lacking: string[] = [];
  for (const node of await readyNodes())
    if ((await onNode(node, `cat ${mark} 2>/dev/null || true`)).trim() !== sum) lacking.push(node);
  if (lacking.length === 0) return false;
  log(`loading image ${image} onto ${lacking.join(', ')}`);
  await provider.loadImage(archive, lacking);
  for (const node of lacking) await onNode(node, `echo ${sum} > ${mark}`);
  return true;
}

/** UCX and Open MPI. The nodes' disk has nothing of it, and `make build` does not build it. */
export const APPLICATIONS_IMAGE = 'sealift.local/applications:dev';

let applications: Promise<boolean> | undefined;

/** Builds the applications' image, if it isn't built yet, and loads it, once in a run. @throws CommandError */
export async function needApplicationsImage(log: (line: string) => void): Promise<void> {
  applications ??= run('make', ['applications'], { timeoutMs: 1_800_000 }).then(() =>
    loadImage('applications', log),
  );
  await applications;
}

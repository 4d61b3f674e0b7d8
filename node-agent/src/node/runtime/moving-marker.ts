// SPDX-License-Identifier: Apache-2.0
// The file sealift-moving in a container's bundle: sealift-runc refuses to run a program in the container, to pause it and
// to resume it (docs/architecture.md). A source has it while it is moved or checkpointed, a target until it is resumed.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import { printable } from './process.ts';

export const MOVING = 'sealift-moving';
/** sealift-runc shows this much of the file's first line. */
const MAX_LINE = 127;

/** @param bundle directory on the host. @param request for people: its kind and name */
export async function markMoving(host: Host, bundle: string, request: string): Promise<void> {
  const line = printable(request, MAX_LINE);
  await writeFile(join(host.path(bundle), MOVING), `${line}\n`, { mode: 0o600 });
}

export async function unmarkMoving(host: Host, bundle: string): Promise<void> {
  await rm(join(host.path(bundle), MOVING), { force: true });
}

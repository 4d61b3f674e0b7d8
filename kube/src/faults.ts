// SPDX-License-Identifier: Apache-2.0
// Named points at which a test can make the product fail.
//   SEALIFT_FAULT=point[=action][,...]   action: crash (default), throw, delay:<ms>
//   SEALIFT_FAULT_DIR=<folder>           each point trips only once, remembered there
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export class FaultError extends Error {
  override readonly name = 'FaultError';
  readonly code = 'FaultInjected';
}

type Action =
  { readonly kind: 'crash' | 'throw' } | { readonly kind: 'delay'; readonly ms: number };

/** @throws FaultError for an action that does not exist. */
export function parseFaults(text: string): Map<string, Action> {
  const out = new Map<string, Action>();
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '') continue;
    const [name = '', action = 'crash'] = item.split('=', 2);
    if (action === 'crash' || action === 'throw') out.set(name, { kind: action });
    else if (/^delay:\d+$/.test(action))
      out.set(name, { kind: 'delay', ms: Number(action.slice(6)) });
    else throw new FaultError(`${item}: no such action`);
  }
  return out;
}

let armed: Map<string, Action> | undefined;
let owner: ((name: string) => Promise<void> | undefined) | undefined;

/** For a simulation, whose processes share this one: it is asked at each point instead of the environment. */
export function ownFaults(own: typeof owner): void {
  owner = own;
}

/** Passes a point; costs one look-up when nothing is armed. */
export async function fault(name: string): Promise<void> {
  if (owner) return owner(name);
  armed ??= parseFaults(process.env['SEALIFT_FAULT'] ?? '');
  if (armed.size === 0) return;
  const action = armed.get(name);
  if (!action || !firstTime(name)) return;
  if (action.kind === 'delay') await sleep(action.ms);
  else if (action.kind === 'throw') throw new FaultError(name);
  else process.kill(process.pid, 'SIGKILL');
}

/** Re-reads the environment; for tests. */
export function rearm(): void {
  armed = undefined;
}

/** Wraps an effect in its two points, `<name>.before` and `<name>.after`. */
export async function withFaults<T>(name: string, effect: () => Promise<T>): Promise<T> {
  await fault(`${name}.before`);
  const result = await effect();
  await fault(`${name}.after`);
  return result;
}

function firstTime(name: string): boolean {
  const folder = process.env['SEALIFT_FAULT_DIR'];
  if (folder === undefined) return true;
  try {
    writeFileSync(join(folder, name), '', { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

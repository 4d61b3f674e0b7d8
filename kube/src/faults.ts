// SPDX-License-Identifier: Apache-2.0
// Named points at which a test can make the product fail. Off unless SEALIFT_FAULT_DIR names a folder: there a
// file called like a point arms it, also while the process runs, and says in one word what is to happen:
//   crash (or nothing), throw, delay:<ms>
// The file is removed as the point trips: each trips once, and whoever armed it sees that it has.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export class FaultError extends Error {
  override readonly name = 'FaultError';
  readonly code = 'FaultInjected';
}

type Action =
  { readonly kind: 'crash' | 'throw' } | { readonly kind: 'delay'; readonly ms: number };

/** @throws FaultError for an action that does not exist. */
export function parseAction(text: string): Action {
  const action = text.trim() || 'crash';
  if (action === 'crash' || action === 'throw') return { kind: action };
  if (/^delay:\d+$/.test(action)) return { kind: 'delay', ms: Number(action.slice(6)) };
  throw new FaultError(`${action}: no such action`);
}

let owner: ((name: string) => Promise<void> | undefined) | undefined;

/** For a simulation, whose processes share this one: it is asked at each point instead of the folder. */
export function ownFaults(own: typeof owner): void {
  owner = own;
}

/** Passes a point; costs nothing where no folder is named. */
export async function fault(name: string): Promise<void> {
  if (owner) return owner(name);
  const folder = process.env['SEALIFT_FAULT_DIR'];
  if (folder === undefined) return;
  const action = takeArmed(join(folder, name));
  if (action?.kind === 'delay') await sleep(action.ms);
  else if (action?.kind === 'throw') throw new FaultError(name);
  else if (action) process.kill(process.pid, 'SIGKILL');
}

function takeArmed(file: string): Action | undefined {
  try {
    const action = parseAction(readFileSync(file, 'utf8'));
    rmSync(file);
    return action;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Wraps an effect in its two points, `<name>.before` and `<name>.after`. */
export async function withFaults<T>(name: string, effect: () => Promise<T>): Promise<T> {
  await fault(`${name}.before`);
  const result = await effect();
  await fault(`${name}.after`);
  return result;
}

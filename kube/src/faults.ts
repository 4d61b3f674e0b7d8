// SPDX-License-Identifier: Apache-2.0
// Fault points: named places at which a test can make the product fail. They are off unless SEALIFT_FAULT_DIR names a
// directory. A file there with the name of a point arms that point, also while the process runs. Its text says what happens:
//   crash (or nothing), throw, delay:<ms>
// The process removes the file when the point trips: each trips once, and the test sees that it has.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export class FaultError extends Error {
  override readonly name = 'FaultError';
  readonly code = 'FaultInjected';
}

type Action =
  { readonly kind: 'crash' | 'throw' } | { readonly kind: 'delay'; readonly ms: number };

/** @throws FaultError for an unknown action. */
export function parseAction(text: string): Action {
  const action = text.trim() || 'crash';
  if (action === 'crash' || action === 'throw') return { kind: action };
  if (/^delay:\d+$/.test(action)) return { kind: 'delay', ms: Number(action.slice(6)) };
  throw new FaultError(`${action}: no such action`);
}

let owner: ((name: string) => Promise<void> | undefined) | undefined;

/** For the simulation, whose processes share this one: each point calls it instead of looking into the directory. */
export function ownFaults(own: typeof owner): void {
  owner = own;
}

/** Passes a point. It costs nothing where no directory is named. */
export async function fault(name: string): Promise<void> {
  if (owner) return owner(name);
  const directory = process.env['SEALIFT_FAULT_DIR'];
  if (directory === undefined) return;
  const action = takeArmed(join(directory, name));
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

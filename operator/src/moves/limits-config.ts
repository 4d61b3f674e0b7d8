// SPDX-License-Identifier: Apache-2.0
// The limits that the chart sets: operator.limits.
import { defaultLimits, type MoveLimits } from './limits.ts';

/** @throws Error that names the variable */
export function limitsFrom(env: Readonly<Record<string, string | undefined>>): MoveLimits {
  return {
    cluster: positive(env, 'SEALIFT_MAX_MIGRATIONS', defaultLimits.cluster),
    perNode: positive(env, 'SEALIFT_MAX_MIGRATIONS_PER_NODE', defaultLimits.perNode),
  };
}

function positive(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
  fallback: number,
): number {
  const text = env[name] ?? '';
  if (text === '') return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`${name} must be a whole number above 0, not ${JSON.stringify(text)}.`);
}

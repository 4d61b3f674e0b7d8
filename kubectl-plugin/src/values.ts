// SPDX-License-Identifier: Apache-2.0
// The options of a command line, as they were given.
import { usageError } from './exit-codes.ts';

export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** An option that is a number of seconds. @throws CommandError */
export function secondsIn(values: Values, name: string): number | undefined {
  const text = values[name];
  if (typeof text !== 'string') return undefined;
  const seconds = /^(\d+)s?$/.exec(text)?.[1];
  if (seconds !== undefined && Number(seconds) > 0) return Number(seconds);
  throw usageError(`Option --${name} is a number of seconds above 0, such as 300, not '${text}'.`);
}

export const textIn = (values: Values, name: string): string | undefined => {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
};

// SPDX-License-Identifier: Apache-2.0
// The options of a command line, as they were given.
import { LEAST_PRIORITY, MOST_PRIORITY, Priority } from '../../crds/src/index.ts';
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

/** An option that is the priority of a request. @throws CommandError */
export function priorityIn(values: Values): number | undefined {
  const text = textIn(values, 'priority');
  if (text === undefined) return undefined;
  const { success, data } = Priority.safeParse(/^[-+]?\d+$/.test(text) ? Number(text) : NaN);
  if (success) return data;
  throw usageError(
    `Option --priority is a whole number from ${LEAST_PRIORITY} to ${MOST_PRIORITY}, such as --priority=10, not '${text}'.`,
  );
}

export const textIn = (values: Values, name: string): string | undefined => {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
};

// SPDX-License-Identifier: Apache-2.0
// The options of a command line, as they were given.
import { LEAST_PRIORITY, MOST_PRIORITY, Priority } from '../../crds/src/index.ts';
import { usageError } from './exit-codes.ts';

export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** An option that is a time: a number of seconds, or a duration as kubectl takes it (`90s`, `5m`, `1h30m`). @throws CommandError */
export function secondsIn(values: Values, name: string): number | undefined {
  const text = textIn(values, name);
  if (text === undefined) return undefined;
  const seconds = /^\d+$/.test(text) ? Number(text) : secondsOf(text);
  // A timer takes 2^31 - 1 ms at most.
  if (seconds > 0 && seconds <= mostSeconds) return seconds;
  throw usageError(
    `Option --${name} is a time above 0 and of ${mostSeconds / 3600} h at most, in seconds or as a duration, such as 300 or 5m, not '${text}'.`,
  );
}
const mostSeconds = 500 * 3600;

/** NaN: it is no duration. */
function secondsOf(text: string): number {
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text);
  if (!parts || text === '') return NaN;
  const [, hours = 0, minutes = 0, seconds = 0] = parts;
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
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

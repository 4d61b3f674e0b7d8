// SPDX-License-Identifier: Apache-2.0
// What commands that make requests do with them: print them, or follow them to their end.
import { isFinished } from '../../../crds/src/index.ts';
import { secondsIn, textIn } from '../values.ts';
import type { Invocation } from '../command.ts';
import { displayOn } from '../display.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { outcomeOf, type Request } from '../progress.ts';
import { follow, fullName, hasSucceeded } from '../requests.ts';
import type { Resource } from '../../../kube/src/index.ts';

/**
 * Prints the requests. With --wait or --timeout it follows them, and the exit code says how they ended.
 * @param isDone whether a request that goes on has done what the command is for
 */
export async function finish<T extends Request>(
  invocation: Invocation,
  resource: Resource<T>,
  requests: readonly T[],
  isDone: (request: T) => boolean = () => false,
): Promise<ExitCode> {
  const { values, output } = invocation;
  const timeoutSeconds = secondsIn(values, 'timeout');
  const format = textIn(values, 'output');
  const isWaiting = values['wait'] === true || timeoutSeconds !== undefined;
  if (format === undefined) for (const one of requests) output.line(`${fullName(one)} created`);
  if (!isWaiting) {
    if (format !== undefined) output.objects(format, requests);
    return exitCodes.ok;
  }
  const isOver = (one: T): boolean => isFinished(one) || isDone(one);
  const ended = await followAll(invocation, resource, requests, timeoutSeconds, isOver);
  if (format !== undefined) output.objects(format, ended);
  else for (const one of ended) output.line(`${fullName(one)} ${outcomeOf(one)}`);
  return ended.every((one) => hasSucceeded(one) || isDone(one)) ? exitCodes.ok : exitCodes.failed;
}

/** Where there is nothing to make a request for: a program that reads objects gets an empty list. */
export function nothing({ values, output }: Invocation): ExitCode {
  const format = textIn(values, 'output');
  if (format !== undefined) output.objects(format, []);
  return exitCodes.ok;
}

/** Makes one after the other. If one cannot be made, says which have been: they go on. */
export async function madeSoFar<T, R extends Request>(
  { output }: Pick<Invocation, 'output'>,
  all: readonly T[],
  make: (one: T) => Promise<R>,
): Promise<R[]> {
  const made: R[] = [];
  try {
    for (const one of all) made.push(await make(one));
  } catch (error) {
    for (const one of made) output.note(`${fullName(one)} created; it goes on`);
    throw error;
  }
  return made;
}

/** Shows the progress of the requests until the last one has ended. */
export async function followAll<T extends Request>(
  { output, cluster, signal }: Invocation,
  resource: Resource<T>,
  requests: readonly T[],
  timeoutSeconds: number | undefined,
  isOver: (request: T) => boolean = isFinished,
): Promise<T[]> {
  const display = displayOn(output.streams);
  try {
    const options = { resource, requests, seen: display.show, timeoutSeconds, isOver, signal };
    return await follow(cluster().api, options);
  } finally {
    display.end();
  }
}

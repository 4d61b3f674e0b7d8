// SPDX-License-Identifier: Apache-2.0
// The CPU features of a node, as its agent reports them: names of /proc/cpuinfo, sorted, one space between two. A program
// chooses its code by them when it starts, and would end with SIGILL on a CPU that lacks one. Pure.

const namesOf = (features: string): string[] => features.split(' ').filter((one) => one !== '');

/** How many a message names. */
const mostNames = 8;

/**
 * @param from of the node that the programs have started on; undefined: it is not known, and nothing can be asked for
 * @param to of the node that they are to run on; undefined: not known
 * @returns why they may not run there, as the end of a sentence; undefined: they may
 */
export function lacksFeatures(
  from: string | undefined,
  to: string | undefined,
): string | undefined {
  if (from === undefined) return undefined;
  if (to === undefined) {
    return 'does not say which CPU features it has: its Sealift agent is of an earlier version';
  }
  const present = new Set(namesOf(to));
  const missing = namesOf(from).filter((one) => !present.has(one));
  if (missing.length === 0) return undefined;
  const rest = missing.length - mostNames;
  const more = rest > 0 ? ` and ${rest} more` : '';
  return `lacks CPU features that the pod may use: ${missing.slice(0, mostNames).join(', ')}${more}`;
}

// SPDX-License-Identifier: Apache-2.0
// Counts instructions in what objdump prints.
import { functionOf } from './symbols.ts';

/**
 * Instructions of each function, by name. The parts that the compiler has split off (`.part.0`, `.isra.0`) belong to their
 * function; `.cold` ones, which it takes for unlikely, do not. Padding behind a function does not count. Pure.
 */
export function countInstructions(disassembly: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  let name = '';
  let padding = 0;
  for (const line of disassembly.split('\n')) {
    const symbol = /^[0-9a-f]+ <([^>]+)>:$/.exec(line)?.[1];
    if (symbol !== undefined) {
      if (name !== '') counts.set(name, (counts.get(name) ?? 0) - padding);
      name = symbol.includes('.cold') ? '' : functionOf(symbol);
      padding = 0;
      continue;
    }
    const instruction = /^\s*[0-9a-f]+:\s+(\S.*)$/.exec(line)?.[1];
    if (instruction === undefined || name === '') continue;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    padding = /^(nop|int3|xchg\s+%ax,%ax|cs nop|data16)/.test(instruction) ? padding + 1 : 0;
  }
  if (name !== '') counts.set(name, (counts.get(name) ?? 0) - padding);
  return counts;
}

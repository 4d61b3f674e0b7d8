// SPDX-License-Identifier: Apache-2.0
// Where the functions of a module are, from what objdump prints of its object file and from where a kernel has loaded its sections.

export interface Placed {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** The compiler's parts of a function (`.part.0`, `.isra.0`, `.cold`) have the name of the function. */
export const functionOf = (symbol: string): string => symbol.split('.')[0] ?? symbol;

/** @param text lines `.text 0xffffffffc0557000`. Pure. */
export function sectionsOf(text: string): ReadonlyMap<string, number> {
  return new Map(
    [...text.matchAll(/^(\.\S+) 0x[f]*([0-9a-f]+)$/gm)].map(([, name = '', address = '']) => [
      name,
      parseInt(address, 16),
    ]),
  );
}

/**
 * @param symbols what `objdump --syms` prints: `0000000000000010 l     F .text	0000000000000021 rxe_rcv`
 * @returns the functions of the loaded sections by rising address, without the leading ones of the addresses. Pure.
 */
export function placeFunctions(
  symbols: string,
  sections: ReadonlyMap<string, number>,
): readonly Placed[] {
  const placed: Placed[] = [];
  for (const [, value = '', section = '', size = '', name = ''] of symbols.matchAll(
    /^([0-9a-f]{16}) .{6}F (\S+)\s+([0-9a-f]+)(?: \S+)? (\S+)$/gm,
  )) {
    const base = sections.get(section);
    if (base === undefined) continue;
    const start = base + parseInt(value, 16);
    placed.push({ name: functionOf(name), start, end: start + parseInt(size, 16) });
  }
  return placed.sort((a, b) => a.start - b.start);
}

// SPDX-License-Identifier: Apache-2.0
// JSON in which each number keeps its digits. A bundle has numbers of 64 bits (an rlimit of RLIM_INFINITY is
// 18446744073709551615), and JavaScript's have 53.

/** What V8 has and TypeScript's ES2024 does not declare: the proposal JSON.parse source text access. */
const json = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
};

/**
 * Parses JSON. A number that would lose digits becomes an object that only JSON.stringify can read: it writes the number
 * as it was.
 * @throws SyntaxError
 */
export function parseLossless(text: string): unknown {
  return json.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && !isExact(value, source)
      ? json.rawJSON(source)
      : value,
  );
}

function isExact(value: number, source: string): boolean {
  return String(value) === source || (Number.isSafeInteger(value) && value !== 0);
}

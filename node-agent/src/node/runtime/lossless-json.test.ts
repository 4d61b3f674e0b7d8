// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseLossless } from './lossless-json.ts';

/** JSON texts with integers of 64 bits, nested to some depth. */
const { value: nested } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }).map(String),
    fc.string().map((text) => JSON.stringify(text)),
    fc.constantFrom('true', 'false', 'null', '-0', '1.50', '0.1', '1e400', '18446744073709551615'),
    fc.array(tie('value')).map((all) => `[${all.join(',')}]`),
    fc
      .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z_]\w*$/), tie('value')), {
        selector: ([key]) => key,
      })
      .map((all) => `{${all.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`),
  ),
}));

describe('JSON of a bundle', () => {
  it('comes out as it went in, digit by digit', () => {
    fc.assert(
      fc.property(nested, (text) => {
        expect(JSON.stringify(parseLossless(text))).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });

  it('has plain numbers where they are exact, however they are written', () => {
    expect(parseLossless('[1e3,100,5.0,0.25,9007199254740991]')).toEqual([
      ...[1000, 100, 5, 0.25, 9007199254740991],
    ]);
  });
});

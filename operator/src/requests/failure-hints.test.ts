// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { failureHints } from './failure-hints.ts';

const [a, b] = ['Resumed. (logs: node a, /x)', 'Torn down. (logs: node b, /y)'];

describe('where to look', () => {
  it.each([
    ['spec.cancel is set.', [a, b], ` ${a} ${b}`],
    [`no. ${a}`, [a, b], ` ${b}`],
    ['late', [undefined, undefined], ''],
    ['late', ['x'.repeat(5000)], ` ${'x'.repeat(1499)}`],
  ])('after %s', (message, said, expected) => {
    expect(
      failureHints(
        { message },
        said.map((one) => ({ message: one })),
      ),
    ).toBe(expected);
    expect(failureHints({ message }, [undefined])).toBe('');
  });
});

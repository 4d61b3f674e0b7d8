// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { failureHints, sentences } from './message.ts';

describe('sentences', () => {
  it.each<[string, (string | undefined)[], string]>([
    ['nothing', [], ''],
    ['empty parts', [undefined, '', '  '], ''],
    ['a part without a full stop', ['the restore has failed'], 'the restore has failed.'],
    ['a part with one', ['spec.cancel is set.'], 'spec.cancel is set.'],
    [
      'an agent’s message before a sentence',
      ['what it had in memory is gone', 'Torn down.'],
      'what it had in memory is gone. Torn down.',
    ],
    [
      'logs behind a sentence',
      ['Torn down. (logs: node b, /y)', 'Resumed.'],
      'Torn down. (logs: node b, /y) Resumed.',
    ],
    [
      'logs behind no sentence',
      ['bad image (logs: node b, /y)', 'Torn down.'],
      'bad image (logs: node b, /y). Torn down.',
    ],
    ['a name with a full stop inside', ['cannot read pages-1.img'], 'cannot read pages-1.img.'],
    ['a message that breaks off', ['Container main: '], 'Container main.'],
  ])('joins %s', (_name, parts, expected) => {
    expect(sentences(parts)).toBe(expected);
  });

  it('never exceeds its limit', () => {
    expect(sentences(['x'.repeat(10)], 5)).toBe('xxxx…');
    expect(sentences(['x'.repeat(5000)])).toHaveLength(4096);
  });

  it('leaves a composed message as it is', () => {
    const composed = sentences(['no (logs: node a, /x)', 'Torn down', 'late']);
    expect(sentences([composed])).toBe(composed);
  });
});

const [a, b] = ['Resumed. (logs: node a, /x)', 'Torn down. (logs: node b, /y)'];

describe('failureHints', () => {
  it.each([
    ['spec.cancel is set.', [a, b], `${a} ${b}`],
    [`no. ${a}`, [a, b], b],
    ['late', [undefined, undefined], ''],
    ['late', ['x'.repeat(5000)], `${'x'.repeat(1499)}…`],
  ])('after %s', (message, reported, expected) => {
    expect(
      failureHints(
        { message },
        reported.map((one) => ({ message: one })),
      ),
    ).toBe(expected);
    expect(failureHints({ message }, [undefined])).toBe('');
  });
});

// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MigrationRequestStatus } from '../../crds/src/index.ts';
import { planIn, refusals, refusedIn, seedsIn, touchedBy, verdictIn } from './random-pair.ts';

const LOG = [
  'plan {"seed":7,"side":"server","moves":"client","momentMs":812,"refused":"uc","family":"worker","contexts":2,"pairs":3,"idle":1,"srqs":0,"regions":4}',
  'refused uc',
  'progress 0',
  'progress 41',
  '{"seed":7,"operations":812,"wrong":0}',
  '',
].join('\n');

describe('random-verbs', () => {
  test('says its plan', () => {
    expect(planIn(LOG)).toMatchObject({ seed: 7, moves: 'client', momentMs: 812, refused: 'uc' });
    expect(planIn('progress 1\n')).toBeUndefined();
    expect(() => planIn('plan {"seed":7}\n')).toThrow(/side/);
  });

  test('says what it has made that cannot be moved', () => {
    expect(refusedIn(LOG)).toBe('uc');
    expect(refusedIn('progress 1\n')).toBeUndefined();
  });

  test('says what it has found', () => {
    expect(verdictIn(LOG)).toEqual({ seed: 7, operations: 812, wrong: 0 });
    expect(verdictIn('progress 1\n')).toBeUndefined();
  });

  describe('is refused without a pause', () => {
    const startTime = '2026-01-01T00:00:00.000000Z';
    const quiesced = (status: string, reason: string): object => ({
      ...{ type: 'Quiesced', status, reason, message: '' },
      lastTransitionTime: '2026-01-01T00:00:00Z',
    });
    test.each<[string, object, string[]]>([
      ['the agent did nothing', { sourceAgent: { state: 'Failed', steps: [] } }, []],
      ['nothing is known', {}, []],
      ['it was never quiesced', { conditions: [quiesced('Unknown', 'Waiting')] }, []],
      ['it was given up before', { conditions: [quiesced('False', 'UnsupportedObject')] }, []],
    ])('as %s', (_name, status, wanted) => {
      expect(touchedBy({ status: MigrationRequestStatus.parse(status) })).toEqual(wanted);
    });
    test.each<[string, object, RegExp]>([
      ['held', { sourceAgent: { state: 'Resumed', steps: [{ name: 'hold', startTime }] } }, /hold/],
      [
        'frozen',
        { sourceAgent: { state: 'Failed', steps: [{ name: 'freeze', startTime }] } },
        /fr/,
      ],
      ['paused', { report: { blackoutMs: 800 } }, /800 ms/],
      ['held, by the report', { report: { steps: { holdMs: 0 } } }, /holdMs/],
      ['resumed', { conditions: [quiesced('False', 'Resumed')] }, /Quiesced/],
    ])('not if it was %s', (_name, status, wanted) => {
      expect(touchedBy({ status: MigrationRequestStatus.parse(status) }).join()).toMatch(wanted);
    });
  });

  test('makes nothing that the case does not know a finding of', () => {
    const source = readFileSync(
      new URL('../workloads/random/plan_print.c', import.meta.url),
      'utf8',
    );
    const [, words = ''] = /words\[REFUSED_KINDS\] = \{([^}]*)\}/.exec(source) ?? [];
    const made = [...words.matchAll(/"(\w+)"/g)].map(([, word]) => word);
    expect(made).toEqual(['nothing', ...Object.keys(refusals)]);
  });
});

describe('SEEDS', () => {
  test('are three, unless somebody says which', () => {
    expect(seedsIn(undefined)).toHaveLength(3);
    expect(seedsIn(' ')).toHaveLength(3);
    expect(seedsIn('17')).toEqual([17]);
    expect(seedsIn('3, 9-11,10')).toEqual([3, 9, 10, 11]);
  });

  test.each(['a', '1,', '-4', '9-3', '1-100000', '1.5', '0x10'])('refuse %s', (text) => {
    expect(() => seedsIn(text)).toThrow(/^SEEDS: ".*" is neither a seed nor a range/);
  });
});

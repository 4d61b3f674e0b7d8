// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideSource, type SourceObserved } from './decide.ts';

const NOW = 1_000_000;
const base: SourceObserved = {
  decision: undefined,
  stage: undefined,
  targetState: undefined,
  targetAnswers: false,
  deadline: undefined,
  limit: undefined,
  replaced: false,
  failure: undefined,
};
const failure = { code: 'UnsupportedObject', message: 'SRQ' };
const late = { at: NOW - 1, code: 'DumpDeadlineExceeded', message: 'step dump' };
const ahead = { ...late, at: NOW };
const begun = { deadline: NOW + 1000, targetState: 'AtCreateGate' } as const;

const cases: [string, Partial<SourceObserved>, string, string[]][] = [
  ['looks before anything else', {}, 'Waiting', ['Inspect']],
  ['waits for the operator’s deadline', { targetState: 'AtCreateGate' }, 'Waiting', ['Inspect']],
  ['waits for the target', { deadline: NOW + 1, targetState: 'Preparing' }, 'Waiting', ['Inspect']],
  [
    'goes when the target is at its gate',
    begun,
    'Sent',
    ['Lock', 'Hold', 'Freeze', 'Dump', 'Transfer'],
  ],
  [
    'repeats the step that an earlier agent had begun',
    { ...begun, stage: 'freezing' },
    'Sent',
    ['Freeze', 'Dump', 'Transfer'],
  ],
  ['sends again', { ...begun, stage: 'transferring' }, 'Sent', ['Transfer']],
  ['waits for the decision', { ...begun, stage: 'sent' }, 'Sent', []],
  ['aborts on its own failure', { ...begun, stage: 'dumping', failure }, 'Failed', ['Abort']],
  ['refuses before it has begun', { failure }, 'Failed', ['Abort']],
  ['aborts after the deadline', { deadline: NOW - 1, stage: 'sent' }, 'Transferring', ['Abort']],
  [
    'aborts after a step’s limit',
    { stage: 'dumping', limit: late, deadline: NOW + 1 },
    'Transferring',
    ['Abort'],
  ],
  [
    'aborts after the peers’ patience, though all is sent',
    { stage: 'sent', limit: late, deadline: NOW + 1 },
    'Transferring',
    ['Abort'],
  ],
  ['goes on until then', { stage: 'transferring', limit: ahead }, 'Sent', ['Transfer']],
  [
    'says what it found rather than how long it took',
    { stage: 'sent', limit: late, failure },
    'Failed',
    ['Abort'],
  ],
  [
    'ends although it is late',
    { decision: 'Committed', stage: 'sent', limit: late },
    'Gone',
    ['HandOver', 'End'],
  ],
  [
    'thaws although it is late',
    { decision: 'Aborted', stage: 'sent', limit: late },
    'Resumed',
    ['Release'],
  ],
  [
    'lets a lost one start from nothing',
    { decision: 'Aborted', stage: 'lost' },
    'Lost',
    ['LetStart'],
  ],
  [
    'keeps a lost one from starting where another is made',
    { decision: 'Aborted', stage: 'lost', replaced: true },
    'Lost',
    [],
  ],
  [
    'remembers that it was lost',
    { decision: 'Aborted', stage: 'resumed', failure: { code: 'SourceLost', message: '' } },
    'Lost',
    [],
  ],
  ['thaws on Aborted', { decision: 'Aborted', stage: 'sent' }, 'Resumed', ['Release']],
  ['thaws on Aborted at once', { decision: 'Aborted', stage: 'locking' }, 'Resumed', ['Release']],
  ['has nothing to thaw', { decision: 'Aborted' }, 'Resumed', []],
  ['thaws once', { decision: 'Aborted', stage: 'resumed' }, 'Resumed', []],
  [
    'hands over and ends on Committed',
    { decision: 'Committed', stage: 'sent' },
    'Gone',
    ['HandOver', 'End'],
  ],
  [
    'ends as soon as the target answers',
    { decision: 'Committed', stage: 'sent', targetAnswers: true },
    'Gone',
    ['End'],
  ],
  ['goes on ending', { decision: 'Committed', stage: 'ending' }, 'Gone', ['End']],
  ['ends without a journal, too', { decision: 'Committed' }, 'Gone', ['HandOver', 'End']],
  [
    'hands over although it has not written down that all is sent',
    { decision: 'Committed', stage: 'transferring' },
    'Gone',
    ['HandOver', 'End'],
  ],
  ['ends once', { decision: 'Committed', stage: 'gone' }, 'Gone', []],
  [
    'ends although it failed',
    { decision: 'Committed', stage: 'sent', failure },
    'Gone',
    ['HandOver', 'End'],
  ],
];

describe('a source’s limit', () => {
  it('gives its reason and what to do', () => {
    const plan = decideSource({ ...base, stage: 'dumping', limit: late }, NOW);
    expect(plan.effects).toEqual([
      { type: 'Abort', reason: 'DumpDeadlineExceeded', message: 'step dump' },
    ]);
  });

  it('is looked at in time by who waits for the decision', () => {
    const sent = { ...base, stage: 'sent' as const, deadline: NOW + 1000 };
    expect(decideSource(sent, NOW).requeueAfterMs).toBe(1100);
    const limit = { ...late, at: NOW + 300 };
    expect(decideSource({ ...sent, limit }, NOW).requeueAfterMs).toBe(301);
  });
});

describe('the source', () => {
  it.each(cases)('%s', (_what, observed, state, effects) => {
    const plan = decideSource({ ...base, ...observed }, NOW);
    expect(plan.status?.state).toBe(state);
    expect(plan.effects.map((effect) => effect.type)).toEqual(effects);
  });

  it('thaws on nothing but Aborted and ends on nothing but Committed, whatever else is so', () => {
    const stages = [
      undefined,
      'locking',
      'holding',
      'freezing',
      'dumping',
      'transferring',
      'sent',
      'resumed',
      'lost',
      'gone',
    ] as const;
    const anything = fc.record({
      decision: fc.constantFrom(undefined, 'Committed' as const, 'Aborted' as const),
      stage: fc.constantFrom(...stages),
      targetState: fc.constantFrom(undefined, 'AtCreateGate' as const, 'Running' as const),
      targetAnswers: fc.boolean(),
      deadline: fc.constantFrom(undefined, NOW - 1, NOW + 1),
      limit: fc.constantFrom(undefined, late, ahead),
      replaced: fc.boolean(),
      failure: fc.constantFrom(undefined, failure),
    });
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideSource(observed, NOW).effects.map((effect) => effect.type);
        if (observed.decision !== 'Aborted') {
          expect(types).not.toContain('Release');
          expect(types).not.toContain('LetStart');
        }
        if (observed.decision !== 'Committed') {
          expect(types).not.toContain('HandOver');
          expect(types).not.toContain('End');
        }
        if (types.includes('HandOver')) expect(types).toEqual(['HandOver', 'End']);
        if (observed.decision !== undefined) {
          for (const type of ['Lock', 'Hold', 'Freeze', 'Dump', 'Transfer', 'Abort'] as const) {
            expect(types).not.toContain(type);
          }
        }
      }),
    );
  });
});

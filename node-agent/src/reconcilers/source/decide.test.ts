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
  ['looks before anything else', {}, 'Waiting', ['InspectPod']],
  ['waits for the operator’s deadline', { targetState: 'AtCreateGate' }, 'Waiting', ['InspectPod']],
  [
    'waits for the target',
    { deadline: NOW + 1, targetState: 'Preparing' },
    'Waiting',
    ['InspectPod'],
  ],
  [
    'goes when the target is at its gate',
    begun,
    'Sent',
    ['LockNetwork', 'HoldDevice', 'FreezeTasks', 'DumpContainers', 'SendImages'],
  ],
  [
    'repeats the step that an earlier agent had begun',
    { ...begun, stage: 'Freezing' },
    'Sent',
    ['FreezeTasks', 'DumpContainers', 'SendImages'],
  ],
  ['sends again', { ...begun, stage: 'Transferring' }, 'Sent', ['SendImages']],
  ['waits for the decision', { ...begun, stage: 'Sent' }, 'Sent', []],
  [
    'aborts on its own failure',
    { ...begun, stage: 'Dumping', failure },
    'Failed',
    ['ProposeAbort'],
  ],
  ['refuses before it has begun', { failure }, 'Failed', ['ProposeAbort']],
  [
    'aborts after the deadline',
    { deadline: NOW - 1, stage: 'Sent' },
    'Transferring',
    ['ProposeAbort'],
  ],
  [
    'aborts after a step’s limit',
    { stage: 'Dumping', limit: late, deadline: NOW + 1 },
    'Transferring',
    ['ProposeAbort'],
  ],
  [
    'aborts after the peers’ patience, though all is sent',
    { stage: 'Sent', limit: late, deadline: NOW + 1 },
    'Transferring',
    ['ProposeAbort'],
  ],
  ['goes on until then', { stage: 'Transferring', limit: ahead }, 'Sent', ['SendImages']],
  [
    'says what it found rather than how long it took',
    { stage: 'Sent', limit: late, failure },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'ends although it is late',
    { decision: 'Committed', stage: 'Sent', limit: late },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  [
    'thaws although it is late',
    { decision: 'Aborted', stage: 'Sent', limit: late },
    'Resumed',
    ['ResumeSource'],
  ],
  [
    'lets a lost one start from nothing',
    { decision: 'Aborted', stage: 'Lost' },
    'Lost',
    ['AllowRestart'],
  ],
  [
    'keeps a lost one from starting where another is made',
    { decision: 'Aborted', stage: 'Lost', replaced: true },
    'Lost',
    [],
  ],
  [
    'remembers that it was lost',
    { decision: 'Aborted', stage: 'Resumed', failure: { code: 'SourceLost', message: '' } },
    'Lost',
    [],
  ],
  ['thaws on Aborted', { decision: 'Aborted', stage: 'Sent' }, 'Resumed', ['ResumeSource']],
  [
    'thaws on Aborted at once',
    { decision: 'Aborted', stage: 'Locking' },
    'Resumed',
    ['ResumeSource'],
  ],
  ['has nothing to thaw', { decision: 'Aborted' }, 'Resumed', []],
  ['thaws once', { decision: 'Aborted', stage: 'Resumed' }, 'Resumed', []],
  [
    'hands over and ends on Committed',
    { decision: 'Committed', stage: 'Sent' },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  [
    'ends as soon as the target answers',
    { decision: 'Committed', stage: 'Sent', targetAnswers: true },
    'Gone',
    ['StopSource'],
  ],
  ['goes on ending', { decision: 'Committed', stage: 'Stopping' }, 'Gone', ['StopSource']],
  [
    'ends without a journal, too',
    { decision: 'Committed' },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  [
    'hands over although it has not written down that all is sent',
    { decision: 'Committed', stage: 'Transferring' },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  ['ends once', { decision: 'Committed', stage: 'Gone' }, 'Gone', []],
  [
    'ends although it failed',
    { decision: 'Committed', stage: 'Sent', failure },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
];

describe('a source’s limit', () => {
  it('gives its reason and what to do', () => {
    const plan = decideSource({ ...base, stage: 'Dumping', limit: late }, NOW);
    expect(plan.effects).toEqual([
      { type: 'ProposeAbort', reason: 'DumpDeadlineExceeded', message: 'step dump' },
    ]);
  });

  it('is looked at in time by who waits for the decision', () => {
    const sent = { ...base, stage: 'Sent' as const, deadline: NOW + 1000 };
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
      'Locking',
      'Holding',
      'Freezing',
      'Dumping',
      'Transferring',
      'Sent',
      'Resumed',
      'Lost',
      'Gone',
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
          expect(types).not.toContain('ResumeSource');
          expect(types).not.toContain('AllowRestart');
        }
        if (observed.decision !== 'Committed') {
          expect(types).not.toContain('AwaitTargetAnswering');
          expect(types).not.toContain('StopSource');
        }
        if (types.includes('AwaitTargetAnswering'))
          expect(types).toEqual(['AwaitTargetAnswering', 'StopSource']);
        if (observed.decision !== undefined) {
          for (const type of [
            'LockNetwork',
            'HoldDevice',
            'FreezeTasks',
            'DumpContainers',
            'SendImages',
            'ProposeAbort',
          ] as const) {
            expect(types).not.toContain(type);
          }
        }
      }),
    );
  });
});

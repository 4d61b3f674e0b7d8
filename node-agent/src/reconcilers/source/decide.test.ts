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
  isReplaced: false,
  failure: undefined,
};
const failure = { code: 'UnsupportedObject', message: 'SRQ' };
const late = { at: NOW - 1, code: 'DumpDeadlineExceeded', message: 'step dump' };
const ahead = { ...late, at: NOW };
const begun = { deadline: NOW + 1000, targetState: 'AtCreateGate' } as const;

/** Whatever a status, a journal or a clock says: a dry run has no step that touches the pod. */
it('a dry run only looks, in every state', () => {
  const any = fc.record({
    decision: fc.constantFrom(undefined, 'Committed', 'Aborted'),
    stage: fc.constantFrom(undefined, 'Locking', 'Sent', 'Stopping', 'Lost'),
    targetState: fc.constantFrom(undefined, 'AtCreateGate', 'Answering'),
    deadline: fc.constantFrom(undefined, NOW - 1, NOW + 1000),
    failure: fc.constantFrom(undefined, failure),
    limit: fc.constantFrom(undefined, late),
    dryRun: fc.constantFrom('open', 'inspected'),
  });
  fc.assert(
    fc.property(any, (some) => {
      const { effects, status } = decideSource({ ...base, ...some }, NOW);
      const wanted = some.dryRun === 'open' ? ['ListFindings'] : [];
      expect(effects.map(({ type }) => type)).toEqual(wanted);
      expect(status?.state).toBe('Inspected');
    }),
  );
});

it('looks again at addresses that the target has not', () => {
  expect(decideSource({ ...base, ...begun, addresses: 'due' }, NOW).requeueAfterMs).toBe(1000);
});

const cases: [string, Partial<SourceObserved>, string, string[]][] = [
  ['inspects the pod first', {}, 'Waiting', ['InspectPod']],
  [
    'waits for the operator’s blackout deadline',
    { targetState: 'AtCreateGate' },
    'Waiting',
    ['InspectPod'],
  ],
  [
    'waits until the target is at its create gate',
    { deadline: NOW + 1, targetState: 'Preparing' },
    'Waiting',
    ['InspectPod'],
  ],
  [
    'waits until the target has its addresses',
    { ...begun, addresses: 'due' },
    'Waiting',
    ['InspectPod'],
  ],
  [
    'waits for that until the blackout deadline',
    { ...begun, addresses: 'due', deadline: NOW - 1 },
    'Waiting',
    ['ProposeAbort'],
  ],
  [
    'waits until the status says how many connections the move ends',
    { ...begun, connections: 'due' },
    'Waiting',
    ['InspectPod'],
  ],
  [
    'goes on with what it has begun, whatever the status says of connections',
    { ...begun, stage: 'Locking', connections: 'due' },
    'Sent',
    ['LockNetwork', 'HoldDevice', 'FreezeTasks', 'DumpContainers', 'SendImages'],
  ],
  [
    'goes on with what it has begun, whatever addresses it has',
    { ...begun, stage: 'Locking', addresses: 'due' },
    'Sent',
    ['LockNetwork', 'HoldDevice', 'FreezeTasks', 'DumpContainers', 'SendImages'],
  ],
  [
    'begins when the target is at its create gate',
    begun,
    'Sent',
    ['LockNetwork', 'HoldDevice', 'FreezeTasks', 'DumpContainers', 'SendImages'],
  ],
  [
    'repeats the step that an earlier agent began',
    { ...begun, stage: 'Freezing' },
    'Sent',
    ['FreezeTasks', 'DumpContainers', 'SendImages'],
  ],
  ['sends the images again', { ...begun, stage: 'Transferring' }, 'Sent', ['SendImages']],
  ['waits for the decision', { ...begun, stage: 'Sent' }, 'Sent', []],
  ['aborts on a failure', { ...begun, stage: 'Dumping', failure }, 'Failed', ['ProposeAbort']],
  ['aborts on a failure before it has begun', { failure }, 'Failed', ['ProposeAbort']],
  [
    'aborts after the blackout deadline',
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
    'aborts after the peers’ retry budget, although the images are sent',
    { stage: 'Sent', limit: late, deadline: NOW + 1 },
    'Transferring',
    ['ProposeAbort'],
  ],
  [
    'continues until a step’s limit',
    { stage: 'Transferring', limit: ahead },
    'Sent',
    ['SendImages'],
  ],
  [
    'prefers a failure’s reason to a limit’s',
    { stage: 'Sent', limit: late, failure },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'stops on Committed, however late',
    { decision: 'Committed', stage: 'Sent', limit: late },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  [
    'resumes on Aborted, however late',
    { decision: 'Aborted', stage: 'Sent', limit: late },
    'Resumed',
    ['ResumeSource'],
  ],
  [
    'allows the kubelet to restart a lost pod',
    { decision: 'Aborted', stage: 'Lost' },
    'Lost',
    ['AllowRestart'],
  ],
  [
    'allows no restart of a lost pod that another one replaces',
    { decision: 'Aborted', stage: 'Lost', isReplaced: true },
    'Lost',
    [],
  ],
  [
    'remembers that the pod was lost',
    { decision: 'Aborted', stage: 'Resumed', failure: { code: 'SourceLost', message: '' } },
    'Lost',
    [],
  ],
  ['resumes on Aborted', { decision: 'Aborted', stage: 'Sent' }, 'Resumed', ['ResumeSource']],
  [
    'resumes on Aborted in the first stage',
    { decision: 'Aborted', stage: 'Locking' },
    'Resumed',
    ['ResumeSource'],
  ],
  ['has nothing to resume', { decision: 'Aborted' }, 'Resumed', []],
  ['resumes once', { decision: 'Aborted', stage: 'Resumed' }, 'Resumed', []],
  [
    'waits for the target and stops on Committed',
    { decision: 'Committed', stage: 'Sent' },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  [
    'stops as soon as the target answers',
    { decision: 'Committed', stage: 'Sent', targetAnswers: true },
    'Gone',
    ['StopSource'],
  ],
  [
    'repeats a stop that an earlier agent began',
    { decision: 'Committed', stage: 'Stopping' },
    'Gone',
    ['StopSource'],
  ],
  [
    'stops without a journal entry',
    { decision: 'Committed' },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  [
    'waits for the target and stops before it has recorded that the images are sent',
    { decision: 'Committed', stage: 'Transferring' },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
  ['stops once', { decision: 'Committed', stage: 'Gone' }, 'Gone', []],
  [
    'stops on Committed although it failed',
    { decision: 'Committed', stage: 'Sent', failure },
    'Gone',
    ['AwaitTargetAnswering', 'StopSource'],
  ],
];

describe('a source’s limit', () => {
  it('gives its reason and its message', () => {
    const plan = decideSource({ ...base, stage: 'Dumping', limit: late }, NOW);
    expect(plan.effects).toEqual([
      { type: 'ProposeAbort', reason: 'DumpDeadlineExceeded', message: 'step dump' },
    ]);
  });

  it('wakes a source that waits for the decision', () => {
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

  it('resumes only on Aborted and stops only on Committed, in every state', () => {
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
      isReplaced: fc.boolean(),
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

// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideTarget, type TargetObserved } from './decide.ts';

const NOW = 1_000_000;
const base: TargetObserved = {
  decision: undefined,
  stage: undefined,
  create: 'none',
  images: 'absent',
  kept: false,
  atResumeGate: 'none',
  failure: undefined,
  detached: 'none',
  unrestorable: false,
  deadline: undefined,
  limit: undefined,
  peersHaveRetryLimit: false,
  peerBudgetMs: undefined,
  peerLimit: undefined,
  sourceAnswers: false,
  finished: false,
};
const failure = { code: 'RestoreFailed', message: 'no' };
const late = { at: NOW - 1, code: 'RestoreDeadlineExceeded', message: 'step restore' };
const ahead = { ...late, at: NOW };

const cases: [string, Partial<TargetObserved>, string, string[]][] = [
  ['prepares', {}, 'Preparing', []],
  ['is at the create gate', { create: 'waiting' }, 'AtCreateGate', []],
  ['receives', { create: 'waiting', images: 'receiving' }, 'Receiving', []],
  ['restores what is whole', { create: 'waiting', images: 'whole' }, 'Restoring', ['StartRestore']],
  ['does not restore without a container', { images: 'whole' }, 'Preparing', []],
  [
    'answers again',
    { stage: 'Restoring', create: 'waiting', images: 'whole' },
    'Restoring',
    ['StartRestore'],
  ],
  ['waits for CRIU', { stage: 'Restoring', images: 'whole' }, 'Restoring', []],
  [
    'decides at the resume gate',
    { stage: 'Restoring', atResumeGate: 'all' },
    'AtResumeGate',
    ['ProposeCommit'],
  ],
  [
    'decides after a restart',
    { stage: 'AtResumeGate', atResumeGate: 'all' },
    'AtResumeGate',
    ['ProposeCommit'],
  ],
  ['waits for the gate after a restart', { stage: 'AtResumeGate' }, 'Restoring', []],
  ['waits for the other containers', { stage: 'Restoring', atResumeGate: 'some' }, 'Restoring', []],
  [
    'restores the next container',
    { stage: 'Restoring', atResumeGate: 'some', create: 'waiting', images: 'whole' },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'aborts on the failure of one of several',
    { stage: 'Restoring', atResumeGate: 'some', failure },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'opens nothing on Committed while a container is missing',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some' },
    'AtResumeGate',
    [],
  ],
  [
    'restores one of several again that was committed and never ran',
    {
      ...{ decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some', create: 'again' },
      images: 'whole',
    },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'takes what waits under the name of a new container for nobody',
    {
      ...{ decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all', create: 'again' },
      images: 'whole',
    },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'lets the others go on without one that was lost after Committed',
    { decision: 'Committed', unrestorable: true, stage: 'Resuming', atResumeGate: 'some', failure },
    'Failed',
    ['KeepDiagnostics', 'OpenResumeGates'],
  ],
  [
    'tears down while some wait',
    { decision: 'Aborted', stage: 'TornDown', atResumeGate: 'some' },
    'TornDown',
    ['TearDownTarget'],
  ],
  ['aborts on failure', { stage: 'Restoring', failure }, 'Failed', ['ProposeAbort']],
  [
    'aborts when the kubelet starts over',
    { stage: 'Restoring', create: 'again' },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'aborts after the deadline',
    { create: 'waiting', deadline: NOW - 1 },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'aborts a restore that takes too long',
    { stage: 'Restoring', limit: late },
    'Failed',
    ['ProposeAbort'],
  ],
  ['goes on restoring until then', { stage: 'Restoring', limit: ahead }, 'Restoring', []],
  [
    'commits what was rebuilt, though late',
    { stage: 'Restoring', atResumeGate: 'all' as const, limit: late },
    'AtResumeGate',
    ['ProposeCommit'],
  ],
  [
    'notes how long the peers wait as soon as it hears of it',
    { create: 'waiting', peersHaveRetryLimit: true, peerBudgetMs: 3000 },
    'AtCreateGate',
    ['RecordPeerDeadline'],
  ],
  [
    'notes it once',
    { create: 'waiting', peersHaveRetryLimit: true, peerBudgetMs: 3000, peerLimit: ahead },
    'AtCreateGate',
    [],
  ],
  [
    'commits nothing before it knows how long the peers wait',
    { stage: 'Restoring', atResumeGate: 'all' as const, peersHaveRetryLimit: true },
    'AtResumeGate',
    [],
  ],
  [
    'commits while the peers wait',
    {
      stage: 'AtResumeGate',
      atResumeGate: 'all' as const,
      peersHaveRetryLimit: true,
      peerBudgetMs: 9,
      peerLimit: ahead,
    },
    'AtResumeGate',
    ['ProposeCommit'],
  ],
  [
    'aborts when they have waited long enough',
    {
      stage: 'AtResumeGate',
      atResumeGate: 'all' as const,
      peersHaveRetryLimit: true,
      peerBudgetMs: 9,
      peerLimit: late,
    },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'opens on Committed, however late it learns of it',
    {
      decision: 'Committed',
      stage: 'AtResumeGate',
      atResumeGate: 'all' as const,
      limit: late,
      peerLimit: late,
    },
    'Running',
    ['OpenResumeGates'],
  ],
  [
    'opens on Committed',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all' },
    'Running',
    ['OpenResumeGates'],
  ],
  [
    'answers beside the source before it opens',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['AnswerPeers', 'OpenResumeGates'],
  ],
  [
    'goes on opening, whoever answers',
    { decision: 'Committed', stage: 'Resuming', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['OpenResumeGates'],
  ],
  [
    'answers for nobody who is missing',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some', sourceAnswers: true },
    'AtResumeGate',
    [],
  ],
  [
    'waits for the gate on Committed',
    { decision: 'Committed', stage: 'AtResumeGate' },
    'AtResumeGate',
    [],
  ],
  ['opens once', { decision: 'Committed', stage: 'Running', atResumeGate: 'all' }, 'Running', []],
  [
    'cleans when finished',
    { decision: 'Committed', stage: 'Running', finished: true },
    'Running',
    ['RemoveImages'],
  ],
  [
    'tells of a loss after Committed',
    { decision: 'Committed', stage: 'Resuming', failure, unrestorable: true },
    'Failed',
    ['KeepDiagnostics'],
  ],
  [
    'cleans up after a loss when finished',
    { decision: 'Committed', stage: 'Resuming', failure, finished: true, images: 'whole' },
    'Failed',
    ['KeepDiagnostics', 'RemoveImages'],
  ],
  [
    'lets go in the end of what is whole',
    { decision: 'Committed', stage: 'AtResumeGate', detached: 'some', finished: true, failure },
    'Restoring',
    ['OpenRemainingGates', 'RemoveImages'],
  ],
  [
    'restores nothing that has been given up',
    {
      decision: 'Committed',
      stage: 'AtResumeGate',
      create: 'again',
      finished: true,
      images: 'whole',
    },
    'AtResumeGate',
    ['RemoveImages'],
  ],
  [
    'restores again what was committed and never ran',
    { decision: 'Committed', stage: 'AtResumeGate', failure, create: 'again', images: 'whole' },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'waits for the kubelet to start over what never ran',
    { decision: 'Committed', stage: 'AtResumeGate', failure, images: 'whole' },
    'Restoring',
    [],
  ],
  [
    'restores nothing twice that may have run',
    {
      ...{ decision: 'Committed', stage: 'Resuming', create: 'again', images: 'whole' },
      ...{ detached: 'some', unrestorable: true },
    },
    'AtResumeGate',
    [],
  ],
  [
    'takes back what CRIU has not let go of',
    { decision: 'Committed', stage: 'Resuming', create: 'again', images: 'whole' },
    'AtResumeGate',
    ['RetryRestore'],
  ],
  [
    'takes back what has failed, also before it is created again',
    { decision: 'Committed', stage: 'Resuming', failure },
    'AtResumeGate',
    ['RetryRestore'],
  ],
  [
    'writes down what a former agent had opened',
    { decision: 'Committed', stage: 'Resuming', detached: 'all' },
    'Running',
    ['ResumeTarget'],
  ],
  [
    'removes images that come after the end',
    { decision: 'Aborted', stage: 'TornDown', images: 'whole' },
    'TornDown',
    ['TearDownTarget'],
  ],
  [
    'keeps images of a checkpoint',
    { decision: 'Aborted', stage: 'TornDown', images: 'whole', kept: true },
    'TornDown',
    [],
  ],
  [
    'tears down',
    { decision: 'Aborted', stage: 'Restoring', atResumeGate: 'all' },
    'TornDown',
    ['TearDownTarget'],
  ],
  [
    'tears down what comes late',
    { decision: 'Aborted', stage: 'TornDown', create: 'waiting' },
    'TornDown',
    ['TearDownTarget'],
  ],
  ['is torn down', { decision: 'Aborted', stage: 'TornDown' }, 'TornDown', []],
];

const stages = [
  undefined,
  'Preparing',
  'Restoring',
  'AtResumeGate',
  'Resuming',
  'Running',
  'TornDown',
] as const;
const anything = fc.record({
  decision: fc.constantFrom(undefined, 'Committed' as const, 'Aborted' as const),
  stage: fc.constantFrom(...stages),
  create: fc.constantFrom('none' as const, 'waiting' as const, 'again' as const),
  images: fc.constantFrom('absent' as const, 'receiving' as const, 'whole' as const),
  kept: fc.boolean(),
  limit: fc.constantFrom(undefined, late, ahead),
  peersHaveRetryLimit: fc.boolean(),
  peerBudgetMs: fc.constantFrom(undefined, 3000),
  peerLimit: fc.constantFrom(undefined, late, ahead),
  detached: fc.constantFrom('none' as const, 'some' as const, 'all' as const),
  unrestorable: fc.boolean(),
  atResumeGate: fc.constantFrom('none' as const, 'some' as const, 'all' as const),
  failure: fc.constantFrom(undefined, failure),
  deadline: fc.constantFrom(undefined, NOW - 1, NOW + 1),
  sourceAnswers: fc.boolean(),
  finished: fc.boolean(),
});

describe('the target', () => {
  it.each(cases)('%s', (_what, observed, state, effects) => {
    const plan = decideTarget({ ...base, ...observed }, NOW);
    expect(plan.status?.state).toBe(state);
    expect(plan.effects.map((effect) => effect.type)).toEqual(effects);
  });

  it('lets nothing go beside a source that answers, unless it was let go before', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        const beside = observed.sourceAnswers && observed.stage !== 'Resuming';
        const wanted =
          types.includes('OpenResumeGates') && beside ? ['AnswerPeers', 'OpenResumeGates'] : [];
        expect(types.includes('AnswerPeers') ? types : []).toEqual(wanted);
      }),
    );
  });

  it('takes back nothing that was heard or cannot come again', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        const isHeard = observed.stage !== 'Resuming' || observed.detached === 'all';
        if (isHeard || observed.unrestorable || observed.decision !== 'Committed')
          expect(types).not.toContain('RetryRestore');
      }),
    );
  });

  it('opens on nothing but Committed and decides only at the gate, whatever else is so', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        if (observed.decision !== 'Committed' || observed.atResumeGate === 'none') {
          expect(types).not.toContain('OpenResumeGates');
        }
        // All or none, but for what may run already.
        if (observed.atResumeGate === 'some' && observed.stage !== 'Resuming') {
          expect(types).not.toContain('OpenResumeGates');
        }
        if (
          observed.decision !== undefined ||
          observed.atResumeGate !== 'all' ||
          observed.failure
        ) {
          expect(types).not.toContain('ProposeCommit');
        }
        if (
          observed.peerLimit === late ||
          (observed.peersHaveRetryLimit && !observed.peerBudgetMs)
        ) {
          if (!observed.peerLimit || observed.peerLimit === late)
            expect(types).not.toContain('ProposeCommit');
        }
        if (observed.decision !== 'Aborted') expect(types).not.toContain('TearDownTarget');
        const neverRan = observed.stage === 'Restoring' || observed.stage === 'AtResumeGate';
        const mayRestore =
          observed.decision === undefined || (observed.decision === 'Committed' && neverRan);
        if (!mayRestore || observed.images !== 'whole') expect(types).not.toContain('StartRestore');
      }),
    );
  });
});

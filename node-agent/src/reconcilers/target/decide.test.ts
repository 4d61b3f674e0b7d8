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
  imagesAreCheckpoint: false,
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
  ['prepares without a container', {}, 'Preparing', []],
  ['waits at the create gate for images', { create: 'waiting' }, 'AtCreateGate', []],
  ['receives images', { create: 'waiting', images: 'receiving' }, 'Receiving', []],
  [
    'restores once the images are complete',
    { create: 'waiting', images: 'complete' },
    'Restoring',
    ['StartRestore'],
  ],
  ['does not restore without a container', { images: 'complete' }, 'Preparing', []],
  [
    'starts the restore again for a create that asks again',
    { stage: 'Restoring', create: 'waiting', images: 'complete' },
    'Restoring',
    ['StartRestore'],
  ],
  ['waits for CRIU', { stage: 'Restoring', images: 'complete' }, 'Restoring', []],
  [
    'proposes the commit at the resume gate',
    { stage: 'Restoring', atResumeGate: 'all' },
    'AtResumeGate',
    ['ProposeCommit'],
  ],
  [
    'proposes the commit after a restart of the agent',
    { stage: 'AtResumeGate', atResumeGate: 'all' },
    'AtResumeGate',
    ['ProposeCommit'],
  ],
  [
    'waits for CRIU to ask again after a restart of the agent',
    { stage: 'AtResumeGate' },
    'Restoring',
    [],
  ],
  ['waits for the other containers', { stage: 'Restoring', atResumeGate: 'some' }, 'Restoring', []],
  [
    'restores the next container',
    { stage: 'Restoring', atResumeGate: 'some', create: 'waiting', images: 'complete' },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'aborts when one of several containers fails',
    { stage: 'Restoring', atResumeGate: 'some', failure },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'opens no gate on Committed while a container is missing',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some' },
    'AtResumeGate',
    [],
  ],
  [
    'restores one of several containers again after Committed if it never ran',
    {
      ...{ decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some', create: 'retried' },
      images: 'complete',
    },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'restores a container that was created again although its predecessor waits at the gate',
    {
      ...{ decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all', create: 'retried' },
      images: 'complete',
    },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'opens the other gates when one container was lost after Committed',
    { decision: 'Committed', unrestorable: true, stage: 'Resuming', atResumeGate: 'some', failure },
    'Failed',
    ['KeepDiagnostics', 'OpenResumeGates'],
  ],
  [
    'tears down while some containers wait at the resume gate',
    { decision: 'Aborted', stage: 'TornDown', atResumeGate: 'some' },
    'TornDown',
    ['TearDownTarget'],
  ],
  ['aborts on a failure', { stage: 'Restoring', failure }, 'Failed', ['ProposeAbort']],
  [
    'aborts when the kubelet creates the container again',
    { stage: 'Restoring', create: 'retried' },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'aborts after the blackout deadline',
    { create: 'waiting', deadline: NOW - 1 },
    'Failed',
    ['ProposeAbort'],
  ],
  [
    'aborts a restore that exceeds its limit',
    { stage: 'Restoring', limit: late },
    'Failed',
    ['ProposeAbort'],
  ],
  ['continues to restore until its limit', { stage: 'Restoring', limit: ahead }, 'Restoring', []],
  [
    'proposes the commit of a restored pod although the restore was late',
    { stage: 'Restoring', atResumeGate: 'all' as const, limit: late },
    'AtResumeGate',
    ['ProposeCommit'],
  ],
  [
    'records the peer deadline as soon as the source reports the retry budget',
    { create: 'waiting', peersHaveRetryLimit: true, peerBudgetMs: 3000 },
    'AtCreateGate',
    ['RecordPeerDeadline'],
  ],
  [
    'records the peer deadline once',
    { create: 'waiting', peersHaveRetryLimit: true, peerBudgetMs: 3000, peerLimit: ahead },
    'AtCreateGate',
    [],
  ],
  [
    'proposes no commit before it knows the retry budget',
    { stage: 'Restoring', atResumeGate: 'all' as const, peersHaveRetryLimit: true },
    'AtResumeGate',
    [],
  ],
  [
    'proposes the commit within the retry budget',
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
    'aborts after the peer deadline',
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
    'opens the gates on Committed, however late it reads it',
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
    'opens the gates on Committed',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all' },
    'Running',
    ['OpenResumeGates'],
  ],
  [
    'answers the peers beside the source before it opens the gates',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['AnswerPeers', 'OpenResumeGates'],
  ],
  [
    'continues to open the gates, whether or not the source answers',
    { decision: 'Committed', stage: 'Resuming', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['OpenResumeGates'],
  ],
  [
    'answers no peers while a container is missing',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some', sourceAnswers: true },
    'AtResumeGate',
    [],
  ],
  [
    'waits on Committed for CRIU to come to the gate',
    { decision: 'Committed', stage: 'AtResumeGate' },
    'AtResumeGate',
    [],
  ],
  [
    'opens the gates once',
    { decision: 'Committed', stage: 'Running', atResumeGate: 'all' },
    'Running',
    [],
  ],
  [
    'removes the images when the request has finished',
    { decision: 'Committed', stage: 'Running', finished: true },
    'Running',
    ['RemoveImages'],
  ],
  [
    'reports a loss after Committed',
    { decision: 'Committed', stage: 'Resuming', failure, unrestorable: true },
    'Failed',
    ['KeepDiagnostics'],
  ],
  [
    'removes the images of a lost target when the request has finished',
    { decision: 'Committed', stage: 'Resuming', failure, finished: true, images: 'complete' },
    'Failed',
    ['KeepDiagnostics', 'RemoveImages'],
  ],
  [
    'opens the remaining gates when the request has finished',
    { decision: 'Committed', stage: 'AtResumeGate', detached: 'some', finished: true, failure },
    'Restoring',
    ['OpenRemainingGates', 'RemoveImages'],
  ],
  [
    'restores nothing when the request has finished',
    {
      decision: 'Committed',
      stage: 'AtResumeGate',
      create: 'retried',
      finished: true,
      images: 'complete',
    },
    'AtResumeGate',
    ['RemoveImages'],
  ],
  [
    'restores a committed container again if it never ran',
    {
      decision: 'Committed',
      stage: 'AtResumeGate',
      failure,
      create: 'retried',
      images: 'complete',
    },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'waits for the kubelet to create a container again that never ran',
    { decision: 'Committed', stage: 'AtResumeGate', failure, images: 'complete' },
    'Restoring',
    [],
  ],
  [
    'restores no container again that may have run',
    {
      ...{ decision: 'Committed', stage: 'Resuming', create: 'retried', images: 'complete' },
      ...{ detached: 'some', unrestorable: true },
    },
    'AtResumeGate',
    [],
  ],
  [
    'retries the restore of a container from which CRIU did not detach',
    { decision: 'Committed', stage: 'Resuming', create: 'retried', images: 'complete' },
    'AtResumeGate',
    ['RetryRestore'],
  ],
  [
    'retries a failed restore, also before the kubelet creates the container again',
    { decision: 'Committed', stage: 'Resuming', failure },
    'AtResumeGate',
    ['RetryRestore'],
  ],
  [
    'resumes a target whose gates a former agent opened',
    { decision: 'Committed', stage: 'Resuming', detached: 'all' },
    'Running',
    ['ResumeTarget'],
  ],
  [
    'removes images that arrive after the tear-down',
    { decision: 'Aborted', stage: 'TornDown', images: 'complete' },
    'TornDown',
    ['TearDownTarget'],
  ],
  [
    'keeps the images of a checkpoint',
    { decision: 'Aborted', stage: 'TornDown', images: 'complete', imagesAreCheckpoint: true },
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
    'tears down a container that is created late',
    { decision: 'Aborted', stage: 'TornDown', create: 'waiting' },
    'TornDown',
    ['TearDownTarget'],
  ],
  ['tears down once', { decision: 'Aborted', stage: 'TornDown' }, 'TornDown', []],
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
  create: fc.constantFrom('none' as const, 'waiting' as const, 'retried' as const),
  images: fc.constantFrom('absent' as const, 'receiving' as const, 'complete' as const),
  imagesAreCheckpoint: fc.boolean(),
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

  it('opens no gate beside a source that answers, unless it opened the gates before', () => {
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

  it('retries no restore that peers have heard or that cannot be repeated', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        const isHeard = observed.stage !== 'Resuming' || observed.detached === 'all';
        if (isHeard || observed.unrestorable || observed.decision !== 'Committed')
          expect(types).not.toContain('RetryRestore');
      }),
    );
  });

  it('opens the gates only on Committed and proposes a commit only at the gate, in every state', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        if (observed.decision !== 'Committed' || observed.atResumeGate === 'none') {
          expect(types).not.toContain('OpenResumeGates');
        }
        // All gates or none, except for a target that may run already.
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
        if (!mayRestore || observed.images !== 'complete')
          expect(types).not.toContain('StartRestore');
      }),
    );
  });
});

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
  passing: false,
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
  [
    'gives the target its source’s addresses before it waits for images',
    { create: 'waiting', addresses: 'due' },
    'AtCreateGate',
    ['PlaceAddresses'],
  ],
  [
    'changes no address once images arrive',
    { create: 'waiting', images: 'receiving', addresses: 'due' },
    'Receiving',
    [],
  ],
  [
    'nor once they are there',
    { create: 'waiting', images: 'complete', addresses: 'due' },
    'Restoring',
    ['StartRestore'],
  ],
  ['nor of a target that does not wait', { addresses: 'due' }, 'Preparing', []],
  [
    'nor of one that is aborted',
    { decision: 'Aborted', create: 'waiting', addresses: 'due' },
    'TornDown',
    ['TearDownTarget'],
  ],
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
    'resumes nothing on Committed while a container is missing',
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
    'restores a container that was created again although its predecessor stands at the gate',
    {
      ...{ decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all', create: 'retried' },
      images: 'complete',
    },
    'Restoring',
    ['StartRestore'],
  ],
  [
    'tears down while some containers stand at the resume gate',
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
    'resumes on Committed, however late it reads it',
    {
      decision: 'Committed',
      stage: 'AtResumeGate',
      atResumeGate: 'all' as const,
      limit: late,
      peerLimit: late,
    },
    'Running',
    ['ResumeTarget'],
  ],
  [
    'resumes on Committed',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all' },
    'Running',
    ['ResumeTarget'],
  ],
  [
    'answers the peers beside the source before it resumes',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['AnswerPeers', 'ResumeTarget'],
  ],
  [
    'answers no peers while a container is missing',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some', sourceAnswers: true },
    'AtResumeGate',
    [],
  ],
  ['resumes once', { decision: 'Committed', stage: 'Running', atResumeGate: 'all' }, 'Running', []],
  [
    'removes the images when the request has finished',
    { decision: 'Committed', stage: 'Running', finished: true },
    'Running',
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
    'continues to resume what it has begun to, whether or not the source answers',
    { decision: 'Committed', stage: 'Resuming', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['ResumeTarget'],
  ],
  [
    'continues to resume the others, though one has ended since',
    { decision: 'Committed', stage: 'Resuming', atResumeGate: 'some', failure },
    'Running',
    ['ResumeTarget'],
  ],
  [
    'restores no container again once it has begun to resume the pod',
    { decision: 'Committed', stage: 'Resuming', create: 'retried', images: 'complete' },
    'Running',
    ['ResumeTarget'],
  ],
  [
    'resumes what is there when the request has finished without a container',
    { decision: 'Committed', stage: 'AtResumeGate', atResumeGate: 'some', finished: true, failure },
    'Restoring',
    ['ResumeRemaining', 'KeepDiagnostics'],
  ],
  [
    'keeps the images when the request has finished and nothing has run',
    {
      ...{ decision: 'Committed', stage: 'AtResumeGate', create: 'retried', finished: true },
      images: 'complete',
    },
    'AtResumeGate',
    ['KeepDiagnostics'],
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
  passing: fc.boolean(),
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

  it('resumes nothing beside a source that answers, unless it began to before', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        const beside = observed.sourceAnswers && observed.stage !== 'Resuming';
        const wanted =
          types.includes('ResumeTarget') && beside ? ['AnswerPeers', 'ResumeTarget'] : [];
        expect(types.includes('AnswerPeers') ? types : []).toEqual(wanted);
      }),
    );
  });

  it('resumes only on Committed and proposes a commit only at the gate, in every state', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        if (observed.decision !== 'Committed') {
          expect(types).not.toContain('ResumeTarget');
          expect(types).not.toContain('ResumeRemaining');
        }
        // All containers or none, except for a target that may run already.
        if (observed.atResumeGate !== 'all' && observed.stage !== 'Resuming') {
          expect(types).not.toContain('ResumeTarget');
        }
        if (!observed.finished) expect(types).not.toContain('ResumeRemaining');
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

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
  ['restores what is whole', { create: 'waiting', images: 'whole' }, 'Restoring', ['Restore']],
  ['does not restore without a container', { images: 'whole' }, 'Preparing', []],
  [
    'answers again',
    { stage: 'restoring', create: 'waiting', images: 'whole' },
    'Restoring',
    ['Restore'],
  ],
  ['waits for CRIU', { stage: 'restoring', images: 'whole' }, 'Restoring', []],
  [
    'decides at the resume gate',
    { stage: 'restoring', atResumeGate: 'all' },
    'AtResumeGate',
    ['Decide'],
  ],
  ['decides after a restart', { stage: 'atGate', atResumeGate: 'all' }, 'AtResumeGate', ['Decide']],
  ['waits for the gate after a restart', { stage: 'atGate' }, 'Restoring', []],
  ['waits for the other containers', { stage: 'restoring', atResumeGate: 'some' }, 'Restoring', []],
  [
    'restores the next container',
    { stage: 'restoring', atResumeGate: 'some', create: 'waiting', images: 'whole' },
    'Restoring',
    ['Restore'],
  ],
  [
    'aborts on the failure of one of several',
    { stage: 'restoring', atResumeGate: 'some', failure },
    'Failed',
    ['Abort'],
  ],
  [
    'opens nothing on Committed while a container is missing',
    { decision: 'Committed', stage: 'atGate', atResumeGate: 'some' },
    'AtResumeGate',
    [],
  ],
  [
    'restores one of several again that was committed and never ran',
    {
      ...{ decision: 'Committed', stage: 'atGate', atResumeGate: 'some', create: 'again' },
      images: 'whole',
    },
    'Restoring',
    ['Restore'],
  ],
  [
    'takes what waits under the name of a new container for nobody',
    {
      ...{ decision: 'Committed', stage: 'atGate', atResumeGate: 'all', create: 'again' },
      images: 'whole',
    },
    'Restoring',
    ['Restore'],
  ],
  [
    'lets the others go on without one that was lost after Committed',
    { decision: 'Committed', unrestorable: true, stage: 'opening', atResumeGate: 'some', failure },
    'Failed',
    ['Keep', 'Open'],
  ],
  [
    'tears down while some wait',
    { decision: 'Aborted', stage: 'tornDown', atResumeGate: 'some' },
    'TornDown',
    ['TearDown'],
  ],
  ['aborts on failure', { stage: 'restoring', failure }, 'Failed', ['Abort']],
  [
    'aborts when the kubelet starts over',
    { stage: 'restoring', create: 'again' },
    'Failed',
    ['Abort'],
  ],
  ['aborts after the deadline', { create: 'waiting', deadline: NOW - 1 }, 'Failed', ['Abort']],
  [
    'aborts a restore that takes too long',
    { stage: 'restoring', limit: late },
    'Failed',
    ['Abort'],
  ],
  ['goes on restoring until then', { stage: 'restoring', limit: ahead }, 'Restoring', []],
  [
    'commits what was rebuilt, though late',
    { stage: 'restoring', atResumeGate: 'all' as const, limit: late },
    'AtResumeGate',
    ['Decide'],
  ],
  [
    'notes how long the peers wait as soon as it hears of it',
    { create: 'waiting', peersHaveRetryLimit: true, peerBudgetMs: 3000 },
    'AtCreateGate',
    ['NotePeers'],
  ],
  [
    'notes it once',
    { create: 'waiting', peersHaveRetryLimit: true, peerBudgetMs: 3000, peerLimit: ahead },
    'AtCreateGate',
    [],
  ],
  [
    'commits nothing before it knows how long the peers wait',
    { stage: 'restoring', atResumeGate: 'all' as const, peersHaveRetryLimit: true },
    'AtResumeGate',
    [],
  ],
  [
    'commits while the peers wait',
    {
      stage: 'atGate',
      atResumeGate: 'all' as const,
      peersHaveRetryLimit: true,
      peerBudgetMs: 9,
      peerLimit: ahead,
    },
    'AtResumeGate',
    ['Decide'],
  ],
  [
    'aborts when they have waited long enough',
    {
      stage: 'atGate',
      atResumeGate: 'all' as const,
      peersHaveRetryLimit: true,
      peerBudgetMs: 9,
      peerLimit: late,
    },
    'Failed',
    ['Abort'],
  ],
  [
    'opens on Committed, however late it learns of it',
    {
      decision: 'Committed',
      stage: 'atGate',
      atResumeGate: 'all' as const,
      limit: late,
      peerLimit: late,
    },
    'Running',
    ['Open'],
  ],
  [
    'opens on Committed',
    { decision: 'Committed', stage: 'atGate', atResumeGate: 'all' },
    'Running',
    ['Open'],
  ],
  [
    'answers beside the source before it opens',
    { decision: 'Committed', stage: 'atGate', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['Answer', 'Open'],
  ],
  [
    'goes on opening, whoever answers',
    { decision: 'Committed', stage: 'opening', atResumeGate: 'all', sourceAnswers: true },
    'Running',
    ['Open'],
  ],
  [
    'answers for nobody who is missing',
    { decision: 'Committed', stage: 'atGate', atResumeGate: 'some', sourceAnswers: true },
    'AtResumeGate',
    [],
  ],
  [
    'waits for the gate on Committed',
    { decision: 'Committed', stage: 'atGate' },
    'AtResumeGate',
    [],
  ],
  ['opens once', { decision: 'Committed', stage: 'running', atResumeGate: 'all' }, 'Running', []],
  [
    'cleans when finished',
    { decision: 'Committed', stage: 'running', finished: true },
    'Running',
    ['Clean'],
  ],
  [
    'tells of a loss after Committed',
    { decision: 'Committed', stage: 'opening', failure, unrestorable: true },
    'Failed',
    ['Keep'],
  ],
  [
    'cleans up after a loss when finished',
    { decision: 'Committed', stage: 'opening', failure, finished: true, images: 'whole' },
    'Failed',
    ['Keep', 'Clean'],
  ],
  [
    'lets go in the end of what is whole',
    { decision: 'Committed', stage: 'atGate', detached: 'some', finished: true, failure },
    'Restoring',
    ['OpenRest', 'Clean'],
  ],
  [
    'restores nothing that has been given up',
    { decision: 'Committed', stage: 'atGate', create: 'again', finished: true, images: 'whole' },
    'AtResumeGate',
    ['Clean'],
  ],
  [
    'restores again what was committed and never ran',
    { decision: 'Committed', stage: 'atGate', failure, create: 'again', images: 'whole' },
    'Restoring',
    ['Restore'],
  ],
  [
    'waits for the kubelet to start over what never ran',
    { decision: 'Committed', stage: 'atGate', failure, images: 'whole' },
    'Restoring',
    [],
  ],
  [
    'restores nothing twice that may have run',
    {
      ...{ decision: 'Committed', stage: 'opening', create: 'again', images: 'whole' },
      ...{ detached: 'some', unrestorable: true },
    },
    'AtResumeGate',
    [],
  ],
  [
    'takes back what CRIU has not let go of',
    { decision: 'Committed', stage: 'opening', create: 'again', images: 'whole' },
    'AtResumeGate',
    ['TakeBack'],
  ],
  [
    'takes back what has failed, also before it is created again',
    { decision: 'Committed', stage: 'opening', failure },
    'AtResumeGate',
    ['TakeBack'],
  ],
  [
    'writes down what a former agent had opened',
    { decision: 'Committed', stage: 'opening', detached: 'all' },
    'Running',
    ['Settle'],
  ],
  [
    'removes images that come after the end',
    { decision: 'Aborted', stage: 'tornDown', images: 'whole' },
    'TornDown',
    ['TearDown'],
  ],
  [
    'keeps images of a checkpoint',
    { decision: 'Aborted', stage: 'tornDown', images: 'whole', kept: true },
    'TornDown',
    [],
  ],
  [
    'tears down',
    { decision: 'Aborted', stage: 'restoring', atResumeGate: 'all' },
    'TornDown',
    ['TearDown'],
  ],
  [
    'tears down what comes late',
    { decision: 'Aborted', stage: 'tornDown', create: 'waiting' },
    'TornDown',
    ['TearDown'],
  ],
  ['is torn down', { decision: 'Aborted', stage: 'tornDown' }, 'TornDown', []],
];

const stages = [
  undefined,
  'waiting',
  'restoring',
  'atGate',
  'opening',
  'running',
  'tornDown',
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
        const beside = observed.sourceAnswers && observed.stage !== 'opening';
        const wanted = types.includes('Open') && beside ? ['Answer', 'Open'] : [];
        expect(types.includes('Answer') ? types : []).toEqual(wanted);
      }),
    );
  });

  it('takes back nothing that was heard or cannot come again', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        const isHeard = observed.stage !== 'opening' || observed.released === 'all';
        if (isHeard || observed.hopeless || observed.decision !== 'Committed')
          expect(types).not.toContain('TakeBack');
      }),
    );
  });

  it('opens on nothing but Committed and decides only at the gate, whatever else is so', () => {
    fc.assert(
      fc.property(anything, (observed) => {
        const types = decideTarget(observed, NOW).effects.map((effect) => effect.type);
        if (observed.decision !== 'Committed' || observed.atResumeGate === 'none') {
          expect(types).not.toContain('Open');
        }
        // All or none, but for what may run already.
        if (observed.atResumeGate === 'some' && observed.stage !== 'opening') {
          expect(types).not.toContain('Open');
        }
        if (
          observed.decision !== undefined ||
          observed.atResumeGate !== 'all' ||
          observed.failure
        ) {
          expect(types).not.toContain('Decide');
        }
        if (observed.peerLimit === late || (observed.impatient && !observed.peerBudgetMs)) {
          if (!observed.peerLimit || observed.peerLimit === late)
            expect(types).not.toContain('Decide');
        }
        if (observed.decision !== 'Aborted') expect(types).not.toContain('TearDown');
        const neverRan = observed.stage === 'restoring' || observed.stage === 'atGate';
        const mayRestore =
          observed.decision === undefined || (observed.decision === 'Committed' && neverRan);
        if (!mayRestore || observed.images !== 'whole') expect(types).not.toContain('Restore');
      }),
    );
  });
});

// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { decideCheckpoint, type CheckpointObserved } from './decide.ts';

const NOW = 1_000_000;
const base: CheckpointObserved = {
  stage: undefined,
  failure: undefined,
  deleting: false,
  finished: false,
  deadline: NOW + 1,
  keyProblem: undefined,
};
const failure = { code: 'DiskFull', message: 'no space' };

const keyProblem = { code: 'ImageKeyMissing', message: 'no key' };

const cases: [string, Partial<CheckpointObserved>, string | undefined, string[]][] = [
  ['waits for the operator', { deadline: undefined }, 'Waiting', []],
  ['takes the checkpoint', {}, 'Stored', ['TakeCheckpoint']],
  ['fails after the deadline', { deadline: NOW - 1 }, 'Failed', []],
  ['does not begin a finished request again', { finished: true }, undefined, []],
  ['keeps the images of a finished request', { finished: true, stage: 'Stored' }, 'Stored', []],
  [
    'resumes the pod of a finished request',
    { finished: true, stage: 'Dumping' },
    'Failed',
    ['ResumePod'],
  ],
  ['keeps the images', { stage: 'Stored' }, 'Stored', []],
  ['keeps the images after the deadline', { stage: 'Stored', deadline: NOW - 1 }, 'Stored', []],
  ['resumes the pod after a failure', { stage: 'Dumping', failure }, 'Failed', ['ResumePod']],
  ['resumes the pod after a restart', { stage: 'Freezing' }, 'Failed', ['ResumePod']],
  ['resumes once', { stage: 'Resumed', failure }, 'Failed', []],
  ['fails before it has begun', { failure }, 'Failed', []],
  ['removes the images', { stage: 'Stored', deleting: true }, 'Removed', ['RemoveImages']],
  [
    'resumes the pod before it removes the images',
    { stage: 'Dumping', deleting: true },
    'Removed',
    ['ResumePod', 'RemoveImages'],
  ],
];

describe('a checkpoint without a key to encrypt its images', () => {
  it('waits for it, and leaves the pod alone', () => {
    const plan = decideCheckpoint({ ...base, keyProblem }, NOW);
    expect(plan).toMatchObject({
      status: { state: 'Waiting', reason: 'ImageKeyMissing' },
      effects: [],
    });
    expect(plan.requeueAfterMs).toBeLessThan(10_000);
  });

  it('fails for that reason at its deadline', () => {
    const plan = decideCheckpoint({ ...base, keyProblem, deadline: NOW - 1 }, NOW);
    expect(plan).toMatchObject({
      status: { state: 'Failed', reason: 'ImageKeyMissing' },
      effects: [],
    });
  });

  it('says so of stored images, looks again, and still removes them', () => {
    const stored = { ...base, keyProblem, stage: 'Stored', finished: true } as const;
    const plan = decideCheckpoint(stored, NOW);
    expect(plan).toMatchObject({
      status: { state: 'Stored', reason: 'ImageKeyMissing' },
      effects: [],
    });
    expect(plan.requeueAfterMs).toBeGreaterThan(0);
    const removed = decideCheckpoint({ ...stored, deleting: true }, NOW);
    expect(removed.effects).toEqual([{ type: 'RemoveImages' }]);
  });
});

describe('a checkpoint', () => {
  it.each(cases)('%s', (_what, observed, state, effects) => {
    const plan = decideCheckpoint({ ...base, ...observed }, NOW);
    expect(plan.status?.state).toBe(state);
    expect(plan.effects.map((effect) => effect.type)).toEqual(effects);
  });
});

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
};
const failure = { code: 'DiskFull', message: 'no space' };

const cases: [string, Partial<CheckpointObserved>, string | undefined, string[]][] = [
  ['waits for the operator', { deadline: undefined }, 'Waiting', []],
  ['takes', {}, 'Stored', ['TakeCheckpoint']],
  ['is too late', { deadline: NOW - 1 }, 'Failed', []],
  ['does not begin what has ended', { finished: true }, undefined, []],
  ['keeps what has ended', { finished: true, stage: 'Stored' }, 'Stored', []],
  [
    'lets the pod go on though it has ended',
    { finished: true, stage: 'Dumping' },
    'Failed',
    ['ResumePod'],
  ],
  ['keeps', { stage: 'Stored' }, 'Stored', []],
  ['keeps after the deadline', { stage: 'Stored', deadline: NOW - 1 }, 'Stored', []],
  ['lets the pod go on after a failure', { stage: 'Dumping', failure }, 'Failed', ['ResumePod']],
  ['lets the pod go on after a restart', { stage: 'Freezing' }, 'Failed', ['ResumePod']],
  ['has given up', { stage: 'Resumed', failure }, 'Failed', []],
  ['refuses', { failure }, 'Failed', []],
  ['removes', { stage: 'Stored', deleting: true }, 'Removed', ['RemoveImages']],
  [
    'lets go before it removes',
    { stage: 'Dumping', deleting: true },
    'Removed',
    ['ResumePod', 'RemoveImages'],
  ],
];

describe('a checkpoint', () => {
  it.each(cases)('%s', (_what, observed, state, effects) => {
    const plan = decideCheckpoint({ ...base, ...observed }, NOW);
    expect(plan.status?.state).toBe(state);
    expect(plan.effects.map((effect) => effect.type)).toEqual(effects);
  });
});

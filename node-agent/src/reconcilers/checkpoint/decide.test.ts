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
  ['takes', {}, 'Stored', ['Take']],
  ['is too late', { deadline: NOW - 1 }, 'Failed', []],
  ['does not begin what has ended', { finished: true }, undefined, []],
  ['keeps what has ended', { finished: true, stage: 'stored' }, 'Stored', []],
  [
    'lets the pod go on though it has ended',
    { finished: true, stage: 'dumping' },
    'Failed',
    ['GiveUp'],
  ],
  ['keeps', { stage: 'stored' }, 'Stored', []],
  ['keeps after the deadline', { stage: 'stored', deadline: NOW - 1 }, 'Stored', []],
  ['lets the pod go on after a failure', { stage: 'dumping', failure }, 'Failed', ['GiveUp']],
  ['lets the pod go on after a restart', { stage: 'freezing' }, 'Failed', ['GiveUp']],
  ['has given up', { stage: 'resumed', failure }, 'Failed', []],
  ['refuses', { failure }, 'Failed', []],
  ['removes', { stage: 'stored', deleting: true }, 'Removed', ['Remove']],
  [
    'lets go before it removes',
    { stage: 'dumping', deleting: true },
    'Removed',
    ['GiveUp', 'Remove'],
  ],
];

describe('a checkpoint', () => {
  it.each(cases)('%s', (_what, observed, state, effects) => {
    const plan = decideCheckpoint({ ...base, ...observed }, NOW);
    expect(plan.status?.state).toBe(state);
    expect(plan.effects.map((effect) => effect.type)).toEqual(effects);
  });
});

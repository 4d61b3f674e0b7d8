// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../crds/src/index.ts';
import { at, NOW } from '../../testing/objects.ts';
import { ConditionProgress } from './condition-progress.ts';
import { conditionEvents } from './condition-events.ts';

const condition = (type: string, status: Condition['status'], reason = 'R'): Condition => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: at(0),
});
const names = (before: Condition[], after: Condition[]): string[] =>
  conditionEvents(before, after).map((one) => `${one.type} ${one.condition}`);

describe('conditionEvents', () => {
  it('returns an event for every condition that became True, once', () => {
    const reached = [condition('Validated', 'True'), condition('Succeeded', 'Unknown')];
    expect(names([], reached)).toEqual(['Normal Validated']);
    expect(names(reached, reached)).toEqual([]);
  });

  it('returns one event for a failure, and none for the conditions that it prevents', () => {
    const failed = [condition('Restored', 'False'), condition('Succeeded', 'False', 'TargetGone')];
    expect(conditionEvents([], failed)).toEqual([
      {
        type: 'Warning',
        reason: 'TargetGone',
        message: 'Succeeded is False.',
        condition: 'Succeeded',
      },
    ]);
  });
});

describe('the event of a request that has ended', () => {
  it.each<[Condition['status'], Condition['status'], string]>([
    ['True', 'False', 'Normal Succeeded'],
    ['False', 'True', 'Warning Succeeded'],
  ])('is the summary’s alone: Succeeded %s, Failed %s', (good, bad, event) => {
    expect(names([], [condition('Failed', bad), condition('Succeeded', good)])).toEqual([event]);
  });
});

describe('ConditionProgress', () => {
  const progress = (current?: Condition[]): ConditionProgress<'A' | 'B' | 'Succeeded'> =>
    new ConditionProgress(['A', 'B', 'Succeeded'], current, NOW, 3);
  const list = (p: ConditionProgress<'A' | 'B' | 'Succeeded'>): string[] =>
    p.conditions.map((one) => `${one.type} ${one.status} ${one.reason}`);

  it('has every condition from the first visit on', () => {
    expect(list(progress())).toEqual([
      'A Unknown Pending',
      'B Unknown Waiting',
      'Succeeded Unknown Pending',
    ]);
  });

  it('keeps a condition that was reached True', () => {
    const p = progress();
    p.reached('A', 'Done');
    p.reached('A', 'Again');
    p.waiting('A', 'Waiting');
    expect(list(p)[0]).toBe('A True Done');
  });

  it('leaves no condition Unknown at the end', () => {
    const good = progress();
    good.finish('Succeeded', true, 'Moved');
    expect(list(good)).toEqual(['A True Moved', 'B True Moved', 'Succeeded True Moved']);
    const bad = progress();
    bad.reached('A', 'Done');
    bad.finish('Succeeded', false, 'Lost');
    expect(list(bad)).toEqual(['A True Done', 'B False Lost', 'Succeeded False Lost']);
  });

  it('says a failure in a condition of its own, always the opposite of the summary', () => {
    type Type = 'A' | 'Failed' | 'Succeeded';
    const start = (): ConditionProgress<Type> =>
      new ConditionProgress<Type>(['A', 'Failed', 'Succeeded'], undefined, NOW, 3);
    const failedOf = (p: ConditionProgress<Type>): Condition | undefined =>
      p.conditions.find((one) => one.type === 'Failed');
    const p = start();
    expect(failedOf(p)).toMatchObject({ status: 'Unknown', reason: 'Pending' });
    p.waiting('Succeeded', 'Committed', 'The target is being resumed.');
    expect(failedOf(p)).toMatchObject({ status: 'Unknown', reason: 'Committed' });
    p.finish('Succeeded', false, 'TargetGone', 'Gone.');
    expect(failedOf(p)).toMatchObject({ status: 'True', reason: 'TargetGone', message: 'Gone.' });
    const good = start();
    good.finish('Succeeded', true, 'Moved', 'Runs on b.');
    expect(failedOf(good)).toMatchObject({ status: 'False', reason: 'Moved' });
  });

  it('keeps the time of the last transition', () => {
    const old = { ...condition('A', 'True'), lastTransitionTime: at(-60) };
    const p = progress([old]);
    p.set('A', 'True', 'New');
    expect(p.conditions[0]).toMatchObject({
      reason: 'New',
      lastTransitionTime: at(-60),
      observedGeneration: 3,
    });
    p.set('A', 'False', 'New');
    expect(p.conditions[0]?.lastTransitionTime).toBe(at(0));
  });
});

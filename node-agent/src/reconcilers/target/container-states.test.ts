// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Entry, Stage } from '../../support/journal/journal.ts';
import { ContainerStates, type ContainerState } from './container-states.ts';

const failed = { code: 'RestoreFailed', message: 'no memory' };

/** A pod of containers `a`, `b`, …; the create of all but the last one has returned. */
function states(stage: Stage, ...all: ContainerState[]): ContainerStates {
  const withStates = all.map((state, at) => ({ name: String.fromCharCode(97 + at), state }));
  const containers = withStates.map(({ name }, at) => ({
    ...{ name, id: `id-${name}`, bundle: `/run/${name}`, attempt: 1 },
    ...(at === all.length - 1 && { since: 1 }),
  }));
  const of = { version: 1, id: 'uid', role: 'target', kind: 'MigrationRequest' } as const;
  const named = { namespace: 'default', name: 'move', pod: 'pod', podUid: 'pod-uid' };
  const entry: Entry = { ...of, ...named, stage, containers, steps: [] };
  return new ContainerStates(entry, withStates);
}

describe('a target’s container states', () => {
  it('are empty for a pod that the journal does not know', () => {
    const none = new ContainerStates(undefined, []);
    expect(none.areKnown).toBe(false);
    expect(none.detached()).toBe('none');
    expect(none.failure()).toBeUndefined();
    expect(none.isUnrestorable()).toBe(false);
  });

  it.each([
    [['AtResumeGate', 'AtResumeGate'], [], 'none'],
    [['AtResumeGate', 'Pending'], ['b'], 'none'],
    [['AtResumeGate', 'Detached'], [], 'some'],
    [['Detached', failed], ['b'], 'some'],
    [['Detached', 'Detached'], [], 'all'],
  ] as const)('%j: missing %j, detached %s', (all, missing, detached) => {
    const read = states('Resuming', ...all);
    expect(read.missing()).toEqual(missing);
    expect(read.detached()).toBe(detached);
  });

  it('count a restore as unfinished until CRIU has detached or failed', () => {
    expect(states('Resuming', 'AtResumeGate', 'Detached', 'Pending').unfinished()).toEqual([
      'a',
      'c',
    ]);
    expect(states('Resuming', failed, 'Detached').unfinished()).toEqual([]);
  });

  it('name the failed container of several', () => {
    expect(states('Restoring', failed).failure()).toEqual(failed);
    const { message } = states('Restoring', 'AtResumeGate', failed).failure() ?? {};
    expect(message).toBe('Container b: no memory');
  });

  it.each([
    ['Resuming', [failed, 'Detached'], true],
    ['Resuming', [failed, 'AtResumeGate'], true],
    // The create of the last container has not returned: the kubelet repeats it.
    ['Resuming', ['Detached', failed], false],
    ['Resuming', ['Pending', 'Detached'], false],
    // No task has run before the gates open.
    ['AtResumeGate', [failed, 'AtResumeGate'], false],
  ] as const)('in stage %s, %j is unrestorable: %s', (stage, all, expected) => {
    expect(states(stage, ...all).isUnrestorable()).toBe(expected);
  });
});

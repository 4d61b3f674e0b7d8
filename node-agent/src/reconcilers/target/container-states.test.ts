// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Entry, Stage } from '../../support/journal/journal.ts';
import { ContainerStates, type ContainerState } from './container-states.ts';

const failed = { code: 'RestoreFailed', message: 'no memory' };

/** A pod of containers `a`, `b`, …; the create of all but the last one has returned. */
function places(stage: Stage, ...all: ContainerState[]): ContainerStates {
  const placed = all.map((place, at) => ({ name: String.fromCharCode(97 + at), place }));
  const containers = placed.map(({ name }, at) => ({
    ...{ name, id: `id-${name}`, bundle: `/run/${name}`, attempt: 1 },
    ...(at === all.length - 1 && { since: 1 }),
  }));
  const of = { version: 1, id: 'uid', role: 'target', kind: 'MigrationRequest' } as const;
  const named = { namespace: 'default', name: 'move', pod: 'pod', podUid: 'pod-uid' };
  const entry: Entry = { ...of, ...named, stage, containers, steps: [] };
  return new ContainerStates(entry, placed);
}

describe('places of a target', () => {
  it('of a pod that is not known are nowhere', () => {
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
  ] as const)('%j: missing %j, released %s', (all, missing, released) => {
    const looked = places('Resuming', ...all);
    expect(looked.missing()).toEqual(missing);
    expect(looked.detached()).toBe(released);
  });

  it('go on until each has come to its end, whichever that is', () => {
    expect(places('Resuming', 'AtResumeGate', 'Detached', 'Pending').going()).toEqual(['a', 'c']);
    expect(places('Resuming', failed, 'Detached').going()).toEqual([]);
  });

  it('name the container that failed where there are several', () => {
    expect(places('Restoring', failed).failure()).toEqual(failed);
    const { message } = places('Restoring', 'AtResumeGate', failed).failure() ?? {};
    expect(message).toBe('container b: no memory');
  });

  it.each([
    ['Resuming', [failed, 'Detached'], true],
    ['Resuming', [failed, 'AtResumeGate'], true],
    // The last one's create has not returned: its kubelet tries again.
    ['Resuming', ['Detached', failed], false],
    ['Resuming', ['Pending', 'Detached'], false],
    // Before a gate is opened nothing is lost.
    ['AtResumeGate', [failed, 'AtResumeGate'], false],
  ] as const)('while %s, %j is hopeless: %s', (stage, all, is) => {
    expect(places(stage, ...all).isUnrestorable()).toBe(is);
  });
});

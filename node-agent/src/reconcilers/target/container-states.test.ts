// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { ContainerStates, type ContainerState } from './container-states.ts';

const failed = { code: 'RestoreFailed', message: 'no memory' };

/** A pod of containers `a`, `b`, …. */
const states = (...all: ContainerState[]): ContainerStates =>
  new ContainerStates(all.map((state, at) => ({ name: String.fromCharCode(97 + at), state })));

describe('a target’s container states', () => {
  it.each([
    [[], [], 'none'],
    [['Pending'], ['a'], 'none'],
    [['AtResumeGate', 'AtResumeGate'], [], 'all'],
    [['AtResumeGate', 'Pending'], ['b'], 'some'],
    [['AtResumeGate', 'Thawed'], [], 'all'],
    [['Thawed', failed], ['b'], 'some'],
  ] as const)('%j: missing %j, at the resume gate: %s', (all, missing, atResumeGate) => {
    const read = states(...all);
    expect(read.missing()).toEqual(missing);
    expect(read.atResumeGate()).toBe(atResumeGate);
  });

  it('name the failed container of several', () => {
    expect(states(failed).failure()).toEqual(failed);
    const { message } = states('AtResumeGate', failed).failure() ?? {};
    expect(message).toBe('Container b: no memory');
    expect(states('AtResumeGate', 'Pending').failure()).toBeUndefined();
  });

  it('name a container that was thawed', () => {
    expect(states('AtResumeGate', 'AtResumeGate').thawed()).toBeUndefined();
    expect(states('AtResumeGate', 'Thawed').thawed()?.message).toMatch(/^Container b was thawed/);
  });
});

// SPDX-License-Identifier: Apache-2.0
// A set whose controller, kubelets and agents act at any time beside the operator's writes: docs/adr/0019.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { actors, SetModel, type Actor, type Kind } from '../../testing/set-model.ts';

/** Everybody acts in turn until the request has ended. */
function finish(model: SetModel): void {
  const fair: Actor[] = ['operator', 'agents', 'kubelet', 'controller'];
  for (let round = 0; round < 200 && !model.isFinished; round++)
    fair.forEach((one) => model.step(one));
  for (const one of [...fair, ...fair]) model.step(one);
}

describe.each<Kind>(['ReplicaSet', 'Job'])('a %s', (kind) => {
  it('keeps the number of its pods, whoever acts when', { timeout: 120_000 }, () => {
    const outcomes = { Committed: 0, Aborted: 0 };
    const property = (steps: Actor[]): void => {
      const model = new SetModel(kind);
      const before = { wasCommitted: false };
      for (const one of steps) {
        model.step(one);
        before.wasCommitted ||= model.outcome === 'Committed';
        expect(model.made, 'pods that were made from nothing').toBe(0);
        expect(model.failed, 'pods that were taken for failed').toBe(0);
        expect(model.mostReady).toBeLessThanOrEqual(3);
        if (model.outcome === 'Committed') expect(model.has('p-reque')).toBe(true);
        else expect(model.has('p')).toBe(true);
      }
      finish(model);
      expect(model.isFinished).toBe(true);
      const one = model.outcome === 'Committed' ? 'p-reque' : 'p';
      expect(model.members.sort()).toEqual(['x', 'y', one].sort());
      expect([model.made, model.failed]).toEqual([0, 0]);
      outcomes[model.outcome === 'Committed' ? 'Committed' : 'Aborted']++;
    };
    // A user cancels rarely, or no move would be committed.
    const weights = actors.map((value) => ({
      arbitrary: fc.constant(value),
      weight: value === 'cancel' ? 1 : value === 'operator stops' ? 10 : 30,
    }));
    const steps = fc.array(fc.oneof(...weights), { minLength: 20, maxLength: 80 });
    fc.assert(fc.property(steps, property), { numRuns: 200 });
    // About 15 of the rarer one.
    expect(Math.min(outcomes.Committed, outcomes.Aborted)).toBeGreaterThan(2);
  });
});

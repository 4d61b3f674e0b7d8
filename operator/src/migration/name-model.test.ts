// SPDX-License-Identifier: Apache-2.0
// A pod with a fixed name whose set, kubelets, agents and users act at any time beside the operator: docs/adr/0025.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { actors, NameModel, type Actor } from '../../testing/name-model.ts';

const operator: Actor[] = [
  ...(['reads pods', 'reads requests', 'writes', 'writes', 'writes', 'second'] as const),
];
/** Several steps: what goes wrong in the middle of a second move takes many of them. */
const rounds: Readonly<Record<string, Actor[]>> = {
  'operator and agents': [...operator, 'agents'],
  'operator and set': [...operator, 'controller'],
};

/** Everybody acts in turn until the request has ended. */
function finish(model: NameModel): void {
  const fair: Actor[] = [...operator, 'agents', 'kubelet', 'controller'];
  for (let round = 0; round < 400 && !model.isFinished; round++) {
    fair.forEach((one) => model.step(one));
  }
  for (const one of [...fair, ...fair]) model.step(one);
}

const weightOf: Readonly<Record<string, number>> = {
  ...{ 'operator and agents': 60, 'operator and set': 30 },
  ...{ 'operator stops': 8, cancels: 8, crashes: 3, deletes: 3 },
};

describe('a pod of a StatefulSet', () => {
  it('runs once under its name or another, whoever acts when', { timeout: 240_000 }, () => {
    const ends = { moved: 0, again: 0, lost: 0 };
    const property = (steps: Actor[][]): void => {
      const model = new NameModel();
      const check = (): void => {
        expect(model.running.length, `run: ${model.running.join()}`).toBeLessThanOrEqual(1);
        if (!model.isDamaged) {
          expect(model.made, 'pods that were made from nothing').toBe(0);
          expect(model.hasMemory, 'the memory is somewhere').toBe(true);
        }
      };
      for (const one of steps.flat()) {
        model.step(one);
        check();
      }
      finish(model);
      check();
      expect(model.isFinished).toBe(true);
      expect([...model.pods.keys()], 'one pod, under its own name').toEqual(['p']);
      const [end] = model.pods.values();
      expect(end?.owner).toBe('set');
      const isMoved = end?.content === 'copy';
      expect(model.outcome).toBe(isMoved ? 'Moved' : 'TargetLost');
      ends[isMoved ? (model.attempts > 1 ? 'again' : 'moved') : 'lost']++;
    };
    const all = { ...rounds, ...Object.fromEntries(actors.map((one) => [one, [one]])) };
    const weights = Object.entries(all).map(([name, value]) => ({
      arbitrary: fc.constant(value),
      weight: weightOf[name] ?? 15,
    }));
    const steps = fc.array(fc.oneof(...weights), { minLength: 20, maxLength: 120 });
    fc.assert(fc.property(steps, property), { numRuns: 300 });
    expect(Math.min(ends.moved, ends.again, ends.lost), JSON.stringify(ends)).toBeGreaterThan(5);
  });
});

// SPDX-License-Identifier: Apache-2.0
// `make test` runs 10,000 schedules in a lane of its own; here is that they would find something.
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { mistakes } from './mistakes.ts';
import { ViolationError } from './monitor.ts';
import { points } from './points.ts';
import './product.ts';
import { run } from './run.ts';
import { schedules, type Scenario, type Schedule } from './schedule.ts';
import { seeds } from './seeds.ts';

describe('what schedules have found', () => {
  it.each(seeds)('$found', async ({ schedule }) => {
    await run(schedule);
  });
});

describe('without faults', () => {
  it.each<[Scenario, string]>([
    ['move', 'Committed Committed'],
    ['return', 'Committed Committed'],
    ['rivals', 'Committed Committed'],
    ['checkpoint', 'restore Committed Committed'],
    ['impatient', 'Committed Committed'],
    ['recover', 'Committed Committed'],
  ])('%s ends in %s', async (scenario, decision) => {
    expect(await run({ seed: 1, scenario, faults: [] })).toMatchObject({ decision });
  });
});

const atDump = (what: object) =>
  ({ when: { point: 'source.dump.before', nth: 1 }, what, forMs: 5000 }) as Schedule['faults'][0];

describe('with one fault', () => {
  it.each<[string, Scenario, object, string]>([
    ['a dump that hangs is cut', 'move', { do: 'dumpHangs' }, 'Aborted DumpDeadlineExceeded'],
    [
      'and sooner where the peers give up',
      'impatient',
      { do: 'dumpHangs' },
      'Aborted PeerRetryBudgetExceeded',
    ],
    [
      'a restore that hangs is cut',
      'move',
      { do: 'restoreHangs' },
      'Aborted RestoreDeadlineExceeded',
    ],
    ['a CRIU that ends behind its gate', 'move', { do: 'endsAtGate' }, 'Committed Committed'],
    ['a source that is lost', 'move', { do: 'reset', who: 'source' }, 'Aborted SourceLost'],
  ])('%s', async (_name, scenario, what, decision) => {
    expect(await run({ seed: 1, scenario, faults: [atDump(what)] })).toMatchObject({ decision });
  });

  it('a source that is lost comes back from its checkpoint', async () => {
    // The first dump is the checkpoint's.
    const when = { point: 'source.dump.before', nth: 2 };
    const faults = [{ ...atDump({ do: 'reset', who: 'source' }), when }];
    const { decision } = await run({ seed: 1, scenario: 'recover', faults });
    expect(decision).toBe('Aborted SourceLost restored');
  });
});

describe('a source that is lost anywhere', () => {
  const steps = ['lock', 'hold', 'freeze', 'dump', 'transfer'];
  const points = steps.flatMap((step) => [`source.${step}.before`, `source.${step}.after`]);
  it.each(points)('at %s comes back once, from its checkpoint', async (point) => {
    const ends = new Set<string>();
    for (let seed = 0; seed < 10; seed++) {
      // The checkpoint passes them first, but for the transfer.
      const when = { point, nth: point.startsWith('source.transfer') ? 1 : 2 };
      const reset = { ...atDump({ do: 'reset', who: 'source' }), when, forMs: seed * 5000 };
      const crash = { when: { step: 200 + seed * 37 }, what: { do: 'crash', who: 'operator' } };
      const faults = [reset, { ...crash, forMs: 3000 } as Schedule['faults'][0]];
      ends.add((await run({ seed, scenario: 'recover', faults })).decision);
    }
    // Whatever was too late while the node booted. What had arrived may be committed.
    const restored = /^Aborted (SourceLost|[A-Z][a-z]+DeadlineExceeded) restored$/;
    const others = [...ends].filter((end) => !restored.test(end));
    expect(others).toEqual(point === 'source.transfer.after' ? ['Committed Committed'] : []);
  });
});

describe('the seeded mistakes', () => {
  it.each(mistakes)(
    '$name is found within 10,000 schedules',
    async (mistake) => {
      const stackTraceLimit = Error.stackTraceLimit;
      Error.stackTraceLimit = 0;
      const property = fc.asyncProperty(schedules, async (schedule) => {
        await run(schedule, { mistake });
      });
      const options = { numRuns: 10_000, seed: 1, endOnFailure: true };
      const { failed, errorInstance } = await fc.check(property, options);
      Error.stackTraceLimit = stackTraceLimit;
      expect(failed).toBe(true);
      expect(errorInstance).toBeInstanceOf(ViolationError);
      expect(mistake.shows).toContain((errorInstance as ViolationError).code);
    },
    600_000,
  );
});

describe('a schedule', () => {
  it('gives the same run every time, and waits for nothing real', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const timeouts = vi.spyOn(AbortSignal, 'timeout');
    for (const schedule of fc.sample(schedules, { numRuns: 40, seed: 7 })) {
      const first = await outcome(schedule);
      expect(await outcome(schedule)).toEqual(first);
    }
    expect(timers).not.toHaveBeenCalled();
    expect(timeouts).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });
});

async function outcome(schedule: Schedule): Promise<unknown> {
  try {
    return await run(schedule);
  } catch (error) {
    return String(error);
  }
}

it('knows the fault points of operator and agent', () => {
  expect(points).toEqual(
    expect.arrayContaining([
      ...['operator.abort', 'operator.delete-source', 'operator.delete-target'],
      ...['source.lock', 'source.hold', 'source.freeze', 'source.dump', 'source.transfer'],
      ...['source.thaw', 'source.kill', 'target.decide', 'target.open', 'target.tearDown'],
      ...['cni.before', 'images.send', 'checkpoint.remove'],
    ]),
  );
});

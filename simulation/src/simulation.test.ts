// SPDX-License-Identifier: Apache-2.0
// Known schedules, and a check that random ones find what is wrong. 10,000 random schedules are a lane of `make test`.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { mutants } from './mutants.ts';
import { ViolationError } from './monitor.ts';
import { faultPoints } from './fault-points.ts';
import './product-setup.ts';
import { run } from './run.ts';
import { schedules, type Scenario, type Schedule } from './schedule.ts';
import { regressions } from './regressions.ts';

describe('a schedule that has found a fault', () => {
  it.each(regressions)(
    'does so no more: $found',
    async ({ schedule, decision, strikesWithSomeSeeds }) => {
      const last = strikesWithSomeSeeds ? schedule.seed + 20 : schedule.seed;
      for (let { seed } = schedule; seed <= last; seed++) {
        const result = await run({ ...schedule, seed });
        // Without its faults a schedule tries nothing.
        if (result.missed.length > 0 && seed < last) continue;
        expect(result).toMatchObject({ decision, missed: [] });
        return;
      }
    },
  );
});

describe('without faults', () => {
  it.each<[Scenario, string]>([
    ['move', 'Committed Committed'],
    ['return', 'Committed Committed'],
    ['competing', 'Committed Committed'],
    ['checkpoint', 'restore Committed Committed'],
    ['retryLimit', 'Committed Committed'],
    ['recover', 'Committed Committed'],
    ['several', 'Committed Committed'],
  ])('%s ends in %s', async (scenario, decision) => {
    expect(await run({ seed: 1, scenario, faults: [] })).toMatchObject({ decision });
  });
});

const atDump = (what: object) =>
  ({ when: { point: 'source.dump.before', nth: 1 }, what, forMs: 5000 }) as Schedule['faults'][0];

describe('an agent that is updated, and away for longer than a move may take', () => {
  const resultWith = async (fault: object) => {
    const faults = [{ forMs: 100_000, ...fault }] as unknown as Schedule['faults'];
    const result = await run({ seed: 1, scenario: 'move', faults });
    expect(result.missed).toEqual([]);
    return result;
  };
  const when = (point: string) => ({ when: { point, nth: 1 } });

  it.each([
    ['source', 'source.dump.before'],
    ['source', 'source.transfer.before'],
    ['target', 'source.dump.before'],
    ['target', 'source.transfer.before'],
    ['target', 'target.freeze.before'],
  ])('ends first what it has begun: %s at %s', async (who, point) => {
    const update = { ...when(point), what: { do: 'update', who } };
    const { decision, finishedMs } = await resultWith(update);
    expect(decision).toBe('Committed Committed');
    // It has reported the end of its part: the request ends without the next agent.
    expect(finishedMs).toBeLessThan(60_000);
    const crash = { ...when(point), what: { do: 'crash', who } };
    expect((await resultWith(crash)).decision).toMatch(/^Aborted [A-Z][a-z]+DeadlineExceeded$/);
  });

  it('begins nothing: the move waits for the next agent', async () => {
    const update = { when: { step: 20 }, what: { do: 'update', who: 'source' }, forMs: 5000 };
    expect((await resultWith(update)).decision).toBe('Committed Committed');
  });
});

describe('a disk that takes nothing any more', () => {
  it.each<[string, string, object, string]>([
    ['CRIU has filled', 'source.dump.before', { do: 'dumpFills' }, 'Aborted DiskFull'],
    ['is full', 'source.dump.after', { do: 'diskFull', who: 'source' }, 'Aborted DiskFull'],
    [
      'is read-only',
      'source.dump.after',
      { do: 'diskReadOnly', who: 'source' },
      'Aborted NodeReadOnly',
    ],
    ['the source has', 'api.decision', { do: 'diskReadOnly', who: 'source' }, 'Committed'],
    ['the target has', 'api.decision', { do: 'diskFull', who: 'target' }, 'Committed'],
    ['the target has', 'api.decision', { do: 'diskReadOnly', who: 'target' }, 'Committed'],
  ])('keeps no pod from running: one that %s, at %s', async (_which, point, what, decision) => {
    const faults = [{ when: { point, nth: 1 }, what, forMs: 100_000 }] as never;
    const outcome = await run({ seed: 1, scenario: 'move', faults });
    expect(outcome.missed).toEqual([]);
    expect(outcome.decision).toMatch(decision);
    // Whatever else is written waits for the disk.
    expect(outcome.finishedMs).toBeLessThan(20_000);
  });

  it.each([1, 2])(
    'comes to an end though what it has let run ends: %i containers',
    async (containers) => {
      const faults = [
        [{ point: 'api.decision', nth: 1 }, { do: 'diskReadOnly', who: 'target' }, 60_000],
        [{ point: 'target.thaw.after', nth: 1 }, { do: 'crash', who: 'target' }, 2000],
        [{ point: 'target.thaw.after', nth: 1 }, { do: 'killContainer' }, 1],
      ].map(([when, what, forMs]) => ({ when, what, forMs }));
      const outcome = await run({ seed: 1, scenario: 'move', containers, faults: faults as never });
      expect(outcome).toMatchObject({ decision: 'Committed Committed', missed: [] });
    },
  );
});

describe('with one fault', () => {
  it.each<[string, Scenario, object, string]>([
    ['interrupts a dump that hangs', 'move', { do: 'dumpHangs' }, 'Aborted DumpDeadlineExceeded'],
    [
      'interrupts it earlier for peers with a retry limit',
      'retryLimit',
      { do: 'dumpHangs' },
      'Aborted PeerRetryBudgetExceeded',
    ],
    [
      'interrupts a restore that hangs',
      'move',
      { do: 'restoreHangs' },
      'Aborted RestoreDeadlineExceeded',
    ],
    [
      'aborts when CRIU dies at its resume gate',
      'move',
      { do: 'endsAtGate' },
      'Aborted RestoreFailed',
    ],
    [
      'aborts when the source is lost',
      'move',
      { do: 'reset', who: 'source' },
      'Aborted SourceLost',
    ],
  ])('%s', async (_name, scenario, what, decision) => {
    expect(await run({ seed: 1, scenario, faults: [atDump(what)] })).toMatchObject({ decision });
  });

  it.each([
    ['shim', 'Aborted'],
    ['target.freeze.before', 'Aborted'],
    ['target.decide.before', 'Committed'],
    ['target.decide.after', 'Committed'],
    ['target.unlock.before', 'Committed'],
    ['target.thaw.after', 'Committed'],
  ])('a restart of the target’s kubelet at %s ends in %s', async (point, decision) => {
    const at = point === 'shim' ? 'target.createGate.before' : point;
    const fault = { when: { point: at, nth: 1 }, what: { do: 'restartKubelet', who: 'target' } };
    for (const containers of [1, 3]) {
      const outcome = await run({
        ...{ seed: 1, scenario: 'move', containers },
        faults: [{ ...fault, forMs: 1 } as never],
      });
      expect(outcome.decision).toMatch(decision);
    }
  });

  it('restores a lost source from its checkpoint', async () => {
    // The first dump is that of the checkpoint.
    const when = { point: 'source.dump.before', nth: 2 };
    const faults = [{ ...atDump({ do: 'reset', who: 'source' }), when }];
    const { decision } = await run({ seed: 1, scenario: 'recover', faults });
    expect(decision).toBe('Aborted SourceLost restored');
  });
});

describe('a source that is lost', () => {
  const steps = ['lock', 'hold', 'freeze', 'dump', 'transfer'];
  const points = steps.flatMap((step) => [`source.${step}.before`, `source.${step}.after`]);
  it.each(points)('at %s is restored once, from its checkpoint', async (point) => {
    const ends = new Set<string>();
    for (let seed = 0; seed < 10; seed++) {
      // The checkpoint passes each point first, except the transfer.
      const when = { point, nth: point.startsWith('source.transfer') ? 1 : 2 };
      const reset = { ...atDump({ do: 'reset', who: 'source' }), when, forMs: seed * 5000 };
      const crash = { when: { step: 200 + seed * 37 }, what: { do: 'crash', who: 'operator' } };
      const faults = [reset, { ...crash, forMs: 3000 } as Schedule['faults'][0]];
      ends.add((await run({ seed, scenario: 'recover', faults })).decision);
    }
    // A deadline may pass while the node boots. Images that have arrived may be committed.
    const restored = /^Aborted (SourceLost|[A-Z][a-z]+DeadlineExceeded) restored$/;
    const others = [...ends].filter((end) => !restored.test(end));
    expect(others).toEqual(point === 'source.transfer.after' ? ['Committed Committed'] : []);
  });
});

describe('a mutant', () => {
  it.each(mutants)(
    '"$name" is found within 10,000 schedules',
    async (mutant) => {
      const stackTraceLimit = Error.stackTraceLimit;
      Error.stackTraceLimit = 0;
      const property = fc.asyncProperty(schedules, async (schedule) => {
        await run(schedule, { mutant });
      });
      const options = { numRuns: 10_000, seed: 1, endOnFailure: true };
      const { failed, errorInstance } = await fc.check(property, options);
      Error.stackTraceLimit = stackTraceLimit;
      expect(failed).toBe(true);
      expect(errorInstance).toBeInstanceOf(ViolationError);
      expect(mutant.violations).toContain((errorInstance as ViolationError).code);
    },
    600_000,
  );
});

describe('a schedule', () => {
  it('gives the same run in a new process', () => {
    const schedule = { seed: 0, scenario: 'move', faults: [] };
    const env = { ...process.env, REPLAY: JSON.stringify(schedule), LOG_LEVEL: 'fatal' };
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const { stdout } = spawnSync(process.execPath, [main], { env, encoding: 'utf8' });
    expect(stdout).toContain('Committed Committed');
  }, 60_000);

  it('says which of its faults never struck', async () => {
    const never = {
      when: { point: 'source.lock.before', nth: 99 },
      what: { do: 'touch' },
    } as const;
    const once = { when: { step: 3 }, what: { do: 'touch' }, forMs: 1 } as const;
    const faults = [once, { ...never, forMs: 1 }];
    const { missed } = await run({ seed: 1, scenario: 'move', faults });
    expect(missed).toEqual([faults[1]]);
  });

  it('gives the same run every time, and uses no real timer', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const timeouts = vi.spyOn(AbortSignal, 'timeout');
    for (const schedule of fc.sample(schedules, { numRuns: 40, seed: 7 })) {
      const first = await outcome(schedule);
      expect(await outcome(schedule)).toEqual(first);
    }
    expect(timers).not.toHaveBeenCalled();
    expect(timeouts).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  }, 120_000);
});

async function outcome(schedule: Schedule): Promise<unknown> {
  try {
    return await run(schedule);
  } catch (error) {
    return String(error);
  }
}

it('reads the fault points from the code of operator and agent', () => {
  expect(faultPoints).toEqual(
    expect.arrayContaining([
      ...['operator.abort', 'operator.delete-source', 'operator.delete-target'],
      ...['source.lock', 'source.hold', 'source.freeze', 'source.dump', 'source.transfer'],
      ...['source.thaw', 'source.kill', 'target.decide', 'target.thaw', 'target.tearDown'],
      ...['cni.before', 'images.send', 'checkpoint.remove', 'orphans.remove'],
    ]),
  );
});

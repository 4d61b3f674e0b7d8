// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { MigrationRequest } from '../../crds/src/index.ts';
import { migration, statuses } from '../testing/requests.ts';
import { at, NOW } from '../testing/terminal.ts';
import { traceOf } from './commands/trace.ts';
import { displayOn } from './display.ts';
import { age, duration, size, tableLines } from './output.ts';
import { blockOf, progressOf } from './progress.ts';

describe('a block', () => {
  it.each<[keyof typeof statuses, string[]]>([
    [
      'new',
      [
        'pod trainer: ? -> ?  Pending',
        '    prepare               target pod to its create gate',
        '    hold                  network locked, RDMA device held',
        '    freeze                tasks frozen',
        '    dump                  images written',
        '    transfer              images sent and verified',
        '    restore               tasks and RDMA objects restored',
        '    decide                decision recorded',
        '    resume                pod resumed',
      ],
    ],
    [
      'dumping',
      [
        'pod trainer: a -> b  Holding',
        '  * prepare       1.50 s  target pod to its create gate',
        '  * hold          100 ms  network locked, RDMA device held',
        '  * freeze        400 ms  tasks frozen',
        '  > dump          1.00 s  images written',
        '    transfer              images sent and verified',
        '    restore               tasks and RDMA objects restored',
        '    decide                decision recorded',
        '    resume                pod resumed',
      ],
    ],
    [
      'succeeded',
      [
        'pod trainer: a -> b  Succeeded',
        '  * prepare       1.50 s  target pod to its create gate',
        '  * hold          100 ms  network locked, RDMA device held',
        '    freeze                tasks frozen',
        '  * dump          2.00 s  images written, 3.0 MiB',
        '  * transfer      500 ms  images sent and verified, 3.0 MiB',
        '    restore               tasks and RDMA objects restored',
        '    decide                decision recorded',
        '  * resume        800 ms  pod resumed',
        '  Pod trainer-x runs on b. (blackout 4.31 s, 3.0 MiB)',
      ],
    ],
  ])('of a request that is %s', (status, lines) => {
    expect(blockOf(progressOf(migration(status), NOW + 3000))).toEqual(lines);
  });

  it('says at which bandwidth the images go at most', () => {
    const request = migration('succeeded');
    const sourceAgent = { ...request.status?.sourceAgent, bytesPerSecond: 64 * 2 ** 20 };
    const limited = MigrationRequest.parse({
      ...request,
      status: { ...request.status, sourceAgent },
    });
    expect(blockOf(progressOf(limited, NOW))).toContain(
      '  * transfer      500 ms  images sent and verified, 3.0 MiB, at most 64.0 MiB/s',
    );
    const transfer = traceOf(limited).find(({ name, ph }) => name === 'transfer' && ph === 'X');
    expect(transfer?.args).toMatchObject({ bytesPerSecond: 64 * 2 ** 20 });
  });

  it('says where a pod with a fixed name lands, and where it ends', () => {
    const request = migration('dumping');
    const secondMove = { requestName: 'move-2', attempt: 1, nodeName: 'c' };
    const moving = { ...request, status: { ...request.status, secondMove } };
    expect(progressOf(moving, NOW).title).toBe('pod trainer: a -> b -> c');
    const there = { ...request.status, secondMove: { ...secondMove, nodeName: 'b' } };
    expect(progressOf({ ...request, status: there }, NOW).title).toBe('pod trainer: a -> b');
  });

  it('says what a request waits for, and why one has failed', () => {
    expect(progressOf(migration('waitsForNode'), NOW).outcome).toBe(
      'Pod trainer-x stands in for pod trainer on b.',
    );
    expect(progressOf(migration('queued'), NOW).outcome).toBe('Position 3 in the queue.');
    expect(progressOf(migration('aborted'), NOW).outcome).toBe(
      'UnsupportedObject: Process 41 (app) uses io_uring.',
    );
  });
});

describe('a display', () => {
  const over = (
    isTerminal: boolean,
  ): { text: string; show: (status: keyof typeof statuses) => void; end: () => void } => {
    const printed = { text: '' };
    const error = (text: string): void => void (printed.text += text);
    const display = displayOn({ out: () => undefined, error, isTerminal, now: () => NOW });
    return {
      get text() {
        return printed.text;
      },
      show: (status) => display.show(migration(status)),
      end: display.end,
    };
  };

  it('that is no terminal gets each thing once, as a line', () => {
    const display = over(false);
    for (const status of [
      'new',
      'seen',
      'queued',
      'queued',
      'dumping',
      'dumping',
      'succeeded',
    ] as const)
      display.show(status);
    display.end();
    expect(display.text).not.toContain('\x1b');
    const lines = display.text.trimEnd().split('\n');
    expect(new Set(lines).size).toBe(lines.length);
    expect(lines[0]).toBe('move: Pending, pod trainer: ? -> ?');
    expect(lines[1], 'without a reason there is no line').toBe('move: Position 3 in the queue.');
    expect(lines).toContain('move: hold 100 ms, network locked, RDMA device held');
    expect(lines.at(-1)).toBe('move: Pod trainer-x runs on b. (blackout 4.31 s, 3.0 MiB)');
  });

  it('that is a terminal is written again, above where the cursor is', () => {
    const display = over(true);
    display.show('dumping');
    display.show('succeeded');
    display.end();
    expect(display.text).toContain('\x1b[9A\x1b[J');
    expect(display.text.endsWith('(blackout 4.31 s, 3.0 MiB)\n')).toBe(true);
  });
});

describe('a trace', () => {
  it('has a thread for each actor, a bar for each step that has ended, and the decision', () => {
    const events = traceOf(migration('succeeded'));
    const threads = events.filter(({ name }) => name === 'thread_name');
    expect(threads.map(({ args }) => args?.['name'])).toEqual([
      ...['operator', 'source: a', 'target: b'],
    ]);
    const bars = events.filter(({ ph }) => ph === 'X');
    expect(bars.map(({ name, tid, dur }) => `${tid} ${name} ${dur}`)).toEqual([
      ...['0 MigrationRequest 9000000', '1 hold 100000', '1 dump 2000000', '1 transfer 500000'],
      ...['2 prepare 1500000', '2 resume 800000'],
    ]);
    expect(events.find(({ name }) => name === 'Committed')).toMatchObject({
      ...{ ph: 'i', ts: Date.parse(at(5)) * 1000 },
      args: { by: 'agent/b' },
    });
  });

  it('keeps microseconds', () => {
    const request = migration('dumping');
    const steps = request.status?.sourceAgent?.steps ?? [];
    steps[0] = {
      name: 'hold',
      startTime: '2026-03-04T05:06:07.000001Z',
      endTime: '2026-03-04T05:06:07.000501Z',
    };
    expect(traceOf(request).find(({ name }) => name === 'hold')).toMatchObject({
      ...{ ts: NOW * 1000 + 1, dur: 500 },
    });
  });
});

describe('figures', () => {
  it.each([
    [duration(0.4), '0 ms'],
    [duration(812.4), '812 ms'],
    [duration(1500), '1.50 s'],
    [duration(65_000), '1 min 5 s'],
    [size(0), '0 B'],
    [size(1536), '1.5 KiB'],
    [size(5 * 2 ** 30), '5.0 GiB'],
    [age(at(-5), NOW), '5s'],
    [age(at(-130), NOW), '2m10s'],
    [age(at(-1200), NOW), '20m'],
    [age(at(-14_400), NOW), '4h'],
    [age(at(-300_000), NOW), '3d'],
    [age('', NOW), '<unknown>'],
  ])('%s', (text, wanted) => {
    expect(text).toBe(wanted);
  });

  it('stand below each other', () => {
    expect(
      tableLines([
        ['A', 'LONG'],
        ['bbb', 'c'],
      ]),
    ).toEqual(['A     LONG', 'bbb   c']);
  });
});

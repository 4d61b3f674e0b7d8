// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { SourceAgent, Step, StepName, TargetAgent } from '../../../crds/src/index.ts';
import { makeReport } from './report.ts';

const time = (seconds: string): string => `2026-03-04T05:06:${seconds}Z`;
const step = (name: StepName, start: string, end?: string): Step => ({
  name,
  startTime: time(start),
  ...(end === undefined ? {} : { endTime: time(end) }),
});
const source = (steps: Step[], more: Partial<SourceAgent> = {}): SourceAgent => ({
  state: 'Gone',
  steps,
  ...more,
});
const target = (steps: Step[], more: Partial<TargetAgent> = {}): TargetAgent => ({
  state: 'Running',
  steps,
  ...more,
});

describe('makeReport', () => {
  it('is undefined while the agents have reported nothing', () => {
    expect(makeReport({ startTime: time('00') })).toBeUndefined();
    expect(makeReport({ sourceAgent: { state: 'Waiting' } })).toBeUndefined();
  });

  it('times every step to the microsecond, and the blackout from hold to resume', () => {
    const report = makeReport({
      startTime: time('00.500'),
      sourceAgent: source(
        [
          step('hold', '02.000000', '02.000250'),
          step('freeze', '02.1', '02.2'),
          step('dump', '02.2', '02.5'),
          step('transfer', '02.5', '03'),
        ],
        { bytes: { pages: 7, verbs: 2, rootfs: 1 }, objects: { qp: 1 } },
      ),
      targetAgent: target([
        step('prepare', '00.6', '01.9'),
        step('transfer', '02.4', '03.4'),
        step('restore', '03', '04'),
        step('register', '03.9', '04'),
        step('decide', '04', '04.01'),
        step('resume', '04.01', '04.000123'),
      ]),
    });
    expect(report).toEqual({
      blackoutMs: 2000.123,
      steps: {
        prepareMs: 1500,
        holdMs: 0.25,
        freezeMs: 100,
        dumpMs: 300,
        transferMs: 500,
        restoreMs: 1000,
        registerMs: 100,
        decideMs: 10,
        resumeMs: 0,
      },
      bytes: { pages: 7, verbs: 2, rootfs: 1 },
      sentBytesPerSecond: 20,
      objects: { qp: 1 },
    });
  });

  it('has no blackout for a pod that was never held, or does not run yet', () => {
    const prepared = makeReport({
      startTime: time('00'),
      targetAgent: target([step('prepare', '01', '03')]),
    });
    expect(prepared).toEqual({ steps: { prepareMs: 3000 } });
    const held = makeReport({
      sourceAgent: source([step('hold', '01', '02'), step('dump', '02')]),
    });
    expect(held).toEqual({ steps: { holdMs: 1000 } });
  });

  it('times the resume of a source after an abort', () => {
    const report = makeReport({ sourceAgent: source([step('resume', '01', '01.5')]) });
    expect(report?.steps).toEqual({ resumeMs: 500 });
  });

  it('compares what both nodes have reported, in any order', () => {
    const here = source([], {
      identity: { qpns: [17, 18], lkeys: [1], gids: ['g'], ips: ['i'], rkeys: [2] },
    });
    const there = target([], {
      identity: { qpns: [18, 17], lkeys: [9], gids: ['g', 'h'], macs: ['m'], rkeys: [2] },
    });
    expect(makeReport({ sourceAgent: here, targetAgent: there })?.same).toEqual({
      qpn: true,
      lkey: false,
      gid: false,
      rkey: true,
    });
    expect(makeReport({ sourceAgent: here, targetAgent: target([]) })).toBeUndefined();
  });

  it.each([
    [['net1 1 a', 'net1 2 b'], ['net1 2 b', 'net1 1 a'], true],
    [['net1 1 a', 'net1 2 b'], ['net1 1 b', 'net1 2 a'], false],
    [['net1 1 a', 'net1 2 b'], ['net1 1 a', 'net1 3 b'], false],
    // Of an agent of an earlier version.
    [['net1 1 a', 'net1 2 b'], undefined, true],
  ])('compares GIDs with their indexes: %j and %j', (here, there, same) => {
    const identity = (gidTable: string[] | undefined) => ({
      identity: { gids: ['a', 'b'], ...(gidTable && { gidTable }) },
    });
    const report = makeReport({
      sourceAgent: source([], identity(here)),
      targetAgent: target([], identity(there)),
    });
    expect(report?.same).toEqual({ gid: same });
  });

  it('ignores timestamps that cannot be parsed', () => {
    const bad = { name: 'dump', startTime: 'yesterday', endTime: time('01') } as const;
    expect(makeReport({ sourceAgent: source([bad]) })).toBeUndefined();
  });
});

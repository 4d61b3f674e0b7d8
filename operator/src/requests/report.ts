// SPDX-License-Identifier: Apache-2.0
// The figures of a handover, from what both agents report. Pure.
import {
  totalOf,
  type Bytes,
  type Identity,
  type Report,
  type Same,
  type SourceAgent,
  type Step,
  type StepName,
  type TargetAgent,
} from '../../../crds/src/index.ts';

export interface ReportInput {
  readonly startTime?: string | undefined;
  readonly sourceAgent?: SourceAgent | undefined;
  readonly targetAgent?: TargetAgent | undefined;
}

/** @returns undefined while there is nothing to report. */
export function makeReport(input: ReportInput): Report | undefined {
  const { sourceAgent, targetAgent } = input;
  if (!sourceAgent && !targetAgent) return undefined;
  const source = steps(sourceAgent?.steps);
  const target = steps(targetAgent?.steps);
  const hold = source.get('hold');
  const resume = target.get('resume');
  const prepared = hold?.startTime ?? target.get('prepare')?.endTime;
  return prune({
    blackoutMs: between(hold?.startTime, resume?.endTime),
    steps: prune({
      prepareMs: between(input.startTime, prepared),
      holdMs: duration(hold),
      freezeMs: duration(source.get('freeze')),
      dumpMs: duration(source.get('dump')),
      transferMs: duration(source.get('transfer') ?? target.get('transfer')),
      restoreMs: duration(target.get('restore')),
      registerMs: duration(target.get('register')),
      decideMs: duration(target.get('decide')),
      resumeMs: duration(resume ?? source.get('resume')),
    }),
    bytes: sourceAgent?.bytes,
    sentBytesPerSecond: rate(sourceAgent?.bytes, duration(source.get('transfer'))),
    objects: sourceAgent?.objects,
    same: compare(sourceAgent?.identity, targetAgent?.identity),
  });
}

/** Undefined where either is not known. */
function rate(bytes: Bytes | undefined, ms: number | undefined): number | undefined {
  return bytes && ms ? Math.round((totalOf(bytes) * 1000) / ms) : undefined;
}

function steps(list: readonly Step[] | undefined): Map<StepName, Step> {
  return new Map((list ?? []).map((step) => [step.name, step]));
}

function duration(step: Step | undefined): number | undefined {
  return between(step?.startTime, step?.endTime);
}

/** Milliseconds, to the microsecond. The two nodes’ clocks may differ, so the result is never below zero. */
function between(start: string | undefined, end: string | undefined): number | undefined {
  if (start === undefined || end === undefined) return undefined;
  const ms = milliseconds(end) - milliseconds(start);
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms * 1000) / 1000) : undefined;
}

/** Date.parse keeps milliseconds only; agents write microseconds. */
function milliseconds(time: string): number {
  const match = /^(.*:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(time);
  if (!match) return Date.parse(time);
  const [, whole = '', fraction = '', zone = ''] = match;
  return Date.parse(whole + zone) + Number(`0${fraction}`) * 1000;
}

function compare(a: Identity | undefined, b: Identity | undefined): Same | undefined {
  if (!a || !b) return undefined;
  return prune({
    qpn: equal(a.qpns, b.qpns),
    lkey: equal(a.lkeys, b.lkeys),
    rkey: equal(a.rkeys, b.rkeys),
    // An agent of an earlier version reports no indexes.
    gid: equal(a.gidTable, b.gidTable) ?? equal(a.gids, b.gids),
    ip: equal(a.ips, b.ips),
    mac: equal(a.macs, b.macs),
  });
}

type Values = readonly (string | number)[] | undefined;

function equal(a: Values, b: Values): boolean | undefined {
  if (!a || !b) return undefined;
  const left = a.map(String).sort();
  const right = b.map(String).sort();
  return left.length === right.length && left.every((value, index) => value === right[index]);
}

/** Drops undefined fields. @returns undefined when none remain */
function prune<T extends object>(value: T): T | undefined {
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return entries.length > 0 ? (Object.fromEntries(entries) as T) : undefined;
}

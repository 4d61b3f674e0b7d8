// SPDX-License-Identifier: Apache-2.0
// `trace`: the steps of a request as a file in the Chrome trace event format, which chrome://tracing and ui.perfetto.dev
// open (Trace Event Format, Google, "Complete Events", "Instant Events" and "Metadata Events").
import { writeFile } from 'node:fs/promises';
import type { Step } from '../../../crds/src/index.ts';
import type { Resource } from '../../../kube/src/index.ts';
import { textIn } from '../values.ts';
import type { Command } from '../command.ts';
import { CommandError, exitCodes, usageError } from '../exit-codes.ts';
import type { Request } from '../progress.ts';
import { fullName, requestNamed } from '../requests.ts';
import { find } from '../workloads.ts';

export const trace: Command = {
  name: 'trace',
  summary: "Write a request's timeline to a file that a browser's trace viewer opens.",
  details:
    'Open the file at chrome://tracing or ui.perfetto.dev. Times are those of each node’s own clock.',
  args: [{ name: 'REQUEST', names: 'request' }],
  options: {
    file: {
      type: 'string',
      short: 'f',
      value: 'FILE',
      help: 'Where to: REQUEST.trace.json; - is standard output.',
    },
  },
  run: async ({ args, values, output, cluster, signal }) => {
    const { api, namespace } = cluster();
    const text = args[0] ?? '';
    const { resource, name } = requestNamed(text) as { resource: Resource<Request>; name: string };
    const request = await find(api, resource, namespace, name, signal);
    const events = traceOf(request);
    if (!events.some(({ ph }) => ph === 'X')) {
      throw new CommandError(
        exitCodes.failed,
        `${fullName(request)} has no steps yet: nothing has happened that could be shown.`,
      );
    }
    const json = `${JSON.stringify({ displayTimeUnit: 'ms', traceEvents: events })}\n`;
    const file = textIn(values, 'file') ?? `${name}.trace.json`;
    if (file === '-') output.streams.out(json);
    else {
      await writeFile(file, json).catch((error: Error) => {
        throw usageError(
          `The file ${file} cannot be written: ${error.message}. Choose another one with --file.`,
        );
      });
      output.line(`${file} written`);
    }
    return exitCodes.ok;
  },
};

export interface TraceEvent {
  readonly name: string;
  /** X: complete, i: instant, M: metadata. */
  readonly ph: 'X' | 'i' | 'M';
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly s?: 'g';
  readonly args?: Readonly<Record<string, unknown>>;
}

interface Actor {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly args: Readonly<Record<string, unknown>>;
}

const PID = 1;

/** Every actor is a thread. Steps that have not ended are left out. Pure. */
export function traceOf(request: Request): TraceEvent[] {
  const { name, namespace, creationTimestamp } = request.metadata;
  const process = `${request.kind} ${namespace}/${name}`;
  const events: TraceEvent[] = [
    { name: 'process_name', ph: 'M', pid: PID, tid: 0, args: { name: process } },
    { name: 'thread_name', ph: 'M', pid: PID, tid: 0, args: { name: 'operator' } },
  ];
  const { status } = request;
  const whole = complete(
    request.kind,
    0,
    status?.startTime ?? creationTimestamp,
    status?.completionTime,
  );
  if (whole) events.push({ ...whole, args: { phase: status?.phase } });
  for (const condition of status?.conditions ?? []) {
    const { type, reason, message, lastTransitionTime } = condition;
    if (condition.status === 'Unknown') continue;
    const text = `${type} ${condition.status}`;
    events.push({ ...instant(text, lastTransitionTime), args: { reason, message } });
  }
  if (status && 'decision' in status && status.decision) {
    const { outcome, by, reason, time } = status.decision;
    events.push({ ...instant(outcome, time), args: { by, reason } });
  }
  for (const [index, actor] of actorsOf(request).entries()) {
    const tid = index + 1;
    events.push({ name: 'thread_name', ph: 'M', pid: PID, tid, args: { name: actor.name } });
    for (const step of actor.steps) {
      const event = complete(step.name, tid, step.startTime, step.endTime);
      if (event) events.push({ ...event, args: actor.args });
    }
  }
  return events;
}

function actorsOf(request: Request): Actor[] {
  if (request.kind === 'CheckpointRequest') {
    const { agent, nodeName } = request.status ?? {};
    return [
      { name: `agent of ${nodeName ?? '?'}`, steps: agent?.steps ?? [], args: { ...agent?.bytes } },
    ];
  }
  const { source, target, sourceAgent, targetAgent } = request.status ?? {};
  const { bytes, objects, bytesPerSecond } = sourceAgent ?? {};
  return [
    {
      name: `source: ${source?.nodeName ?? '?'}`,
      steps: sourceAgent?.steps ?? [],
      args: { ...bytes, ...objects, ...(bytesPerSecond !== undefined && { bytesPerSecond }) },
    },
    { name: `target: ${target?.nodeName ?? '?'}`, steps: targetAgent?.steps ?? [], args: {} },
  ];
}

function complete(
  name: string,
  tid: number,
  start: string | undefined,
  end: string | undefined,
): TraceEvent | undefined {
  if (start === undefined || end === undefined) return undefined;
  const ts = microseconds(start);
  const dur = Math.max(0, microseconds(end) - ts);
  return Number.isFinite(dur) ? { name, ph: 'X', pid: PID, tid, ts, dur } : undefined;
}

const instant = (name: string, time: string): TraceEvent => ({
  ...{ name, ph: 'i', pid: PID, tid: 0, ts: microseconds(time), s: 'g' },
});

/** Agents write microseconds, which Date drops. */
function microseconds(timestamp: string): number {
  const fraction = /\.\d{3}(\d{3})/.exec(timestamp)?.[1] ?? '0';
  return Date.parse(timestamp) * 1000 + Number(fraction);
}

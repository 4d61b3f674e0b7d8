// SPDX-License-Identifier: Apache-2.0
// How far a request is, as a person reads it: its steps with their times, bytes, and where it goes. Pure.
import {
  summaryOf,
  totalOf,
  waitsForNode,
  type Bytes,
  type CheckpointRequest,
  type MigrationRequest,
  type RestoreRequest,
  type Step,
  type StepName,
} from '../../crds/src/index.ts';
import { duration, size } from './output.ts';
import { hasSucceeded } from './requests.ts';

export type Request = MigrationRequest | CheckpointRequest | RestoreRequest;

export interface StepLine {
  readonly name: StepName;
  readonly state: 'waits' | 'runs' | 'ended';
  readonly ms?: number | undefined;
  /** What it does, or how much it has moved. */
  readonly note: string;
}

export interface Progress {
  /** `pod trainer: worker-1 -> worker-2`. */
  readonly title: string;
  readonly phase: string;
  readonly steps: readonly StepLine[];
  /** Once it has ended: how. While it waits: for what. */
  readonly outcome?: string | undefined;
}

const does: Record<StepName, string> = {
  prepare: 'target pod to its create gate',
  hold: 'network locked, RDMA device held',
  freeze: 'tasks frozen',
  dump: 'images written',
  transfer: 'images sent and verified',
  restore: 'tasks and RDMA objects restored',
  register: 'memory regions registered',
  decide: 'decision recorded',
  resume: 'pod resumed',
};

const order: Record<Request['kind'], readonly StepName[]> = {
  MigrationRequest: [
    ...(['prepare', 'hold', 'freeze', 'dump', 'transfer', 'restore', 'decide', 'resume'] as const),
  ],
  CheckpointRequest: ['hold', 'freeze', 'dump', 'resume'],
  RestoreRequest: ['prepare', 'transfer', 'restore', 'decide', 'resume'],
};

/** @param now milliseconds since the epoch, by this machine's clock */
export function progressOf(request: Request, now: number): Progress {
  const isDryRun = request.kind === 'MigrationRequest' && request.spec.dryRun;
  const summary = summaryOf(request);
  const isOpen = summary === undefined || summary.status === 'Unknown';
  return {
    title: titleOf(request),
    phase: request.status?.phase ?? 'Pending',
    steps: isDryRun ? [] : order[request.kind].map((name) => lineOf(request, name, now)),
    outcome: isOpen ? waitsFor(request) : outcomeOf(request),
  };
}

/** Of a request that has not begun, or whose landing pod waits. At first the operator gives no reason. */
function waitsFor(request: Request): string | undefined {
  if (request.status?.phase !== 'Pending' && !waitsForNode(request)) return undefined;
  return summaryOf(request)?.message || undefined;
}

function titleOf(request: Request): string {
  switch (request.kind) {
    case 'MigrationRequest':
      return `pod ${request.spec.podName}: ${wayOf(request).join(' -> ')}`;
    case 'CheckpointRequest':
      return `pod ${request.spec.podName} on ${request.status?.nodeName ?? '?'}`;
    case 'RestoreRequest': {
      const { target } = request.status ?? {};
      return `checkpoint ${request.spec.checkpointName} -> pod ${target?.podName ?? request.spec.podName ?? '?'} on ${target?.nodeName ?? '?'}`;
    }
  }
}

/** The nodes from the first to the last. */
function wayOf({ spec, status }: MigrationRequest): string[] {
  const { source, target, inspection, secondMove } = status ?? {};
  const to = target?.nodeName ?? inspection?.targetNodeName ?? spec.targetNodeName;
  // A landing pod may get its name where it is, by way of another node.
  const on = secondMove && secondMove.nodeName !== to ? [secondMove.nodeName] : [];
  return [source?.nodeName ?? '?', to ?? '?', ...on];
}

/** The steps that the agents have published. What both time, such as the transfer, the sender knows best. */
function stepsOf(request: Request): ReadonlyMap<StepName, Step> {
  const lists =
    request.kind === 'CheckpointRequest'
      ? [request.status?.agent?.steps]
      : [request.status?.targetAgent?.steps, request.status?.sourceAgent?.steps];
  return new Map(lists.flatMap((list) => list ?? []).map((step) => [step.name, step]));
}

function lineOf(request: Request, name: StepName, now: number): StepLine {
  const step = stepsOf(request).get(name);
  if (!step) return { name, state: 'waits', note: does[name] };
  const ms = Math.max(
    0,
    (step.endTime ? Date.parse(step.endTime) : now) - Date.parse(step.startTime),
  );
  const bytes = bytesOf(request);
  const most = name === 'transfer' ? limitOf(request) : undefined;
  const limit = most === undefined ? '' : `at most ${size(most)}/s`;
  const moved = step.endTime && (name === 'dump' || name === 'transfer') ? totalOf(bytes) : 0;
  return {
    name,
    state: step.endTime ? 'ended' : 'runs',
    ms,
    note: [does[name], moved > 0 ? size(moved) : '', limit].filter(Boolean).join(', '),
  };
}

const bytesOf = (request: Request): Bytes | undefined =>
  request.kind === 'CheckpointRequest'
    ? request.status?.agent?.bytes
    : (request.status?.sourceAgent?.bytes ?? request.status?.report?.bytes);

/** Bytes per second that the policy allows, as the source’s agent has read it. */
const limitOf = (request: Request): number | undefined =>
  request.kind === 'MigrationRequest' ? request.status?.sourceAgent?.bytesPerSecond : undefined;

/** How it ended, in one or two sentences. */
export function outcomeOf(request: Request): string {
  const message = summaryOf(request)?.message ?? '';
  if (!hasSucceeded(request)) return `${summaryOf(request)?.reason ?? 'Failed'}: ${message}`;
  if (request.kind !== 'MigrationRequest' || request.spec.dryRun) return message;
  const { blackoutMs } = request.status?.report ?? {};
  const bytes = totalOf(bytesOf(request));
  const pause = blackoutMs === undefined ? undefined : `blackout ${duration(blackoutMs)}`;
  const figures = [pause, bytes > 0 ? size(bytes) : undefined].filter((one) => one !== undefined);
  return figures.length > 0 ? `${message} (${figures.join(', ')})` : message;
}

/** As lines of a block that a terminal shows again and again. */
export function blockOf({ title, phase, steps, outcome }: Progress): string[] {
  const marks = { waits: ' ', runs: '>', ended: '*' } as const;
  return [
    `${title}  ${phase}`,
    ...steps.map(({ name, state, ms, note }) => {
      const time = ms === undefined ? '' : duration(ms);
      return `  ${marks[state]} ${name.padEnd(9)}${time.padStart(11)}  ${note}`;
    }),
    ...(outcome === undefined ? [] : [`  ${outcome}`]),
  ];
}

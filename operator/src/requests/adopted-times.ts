// SPDX-License-Identifier: Apache-2.0
// A deadline in a status is a time of the clock of the leader that wrote it, and the next leader may run on another machine.
// That one gives what is under way the whole time again, from when it first sees it: a change of leader never ends anything
// early. What this process has written itself holds as it is.
import {
  imagesRemoved,
  isFinished,
  timeoutsOf,
  type CheckpointRequest,
  type Condition,
  type Deadlines,
} from '../../../crds/src/index.ts';
import { timestamp } from '../../../kube/src/index.ts';
import {
  abortConfirmationMs,
  commitConfirmationMs,
  inspectionMs,
  isPrepared,
  lastLookMs,
  mostRetries,
} from './deadlines.ts';
import type { HandoverRequest } from './handover-types.ts';

type Request = HandoverRequest | CheckpointRequest;

/** The parts of a status with times that the operator waits for. */
interface Waiting {
  readonly deadline?: string | undefined;
  readonly deadlines?: Deadlines | undefined;
  readonly conditions?: readonly Condition[] | undefined;
}

/** By the name of a deadline: what an earlier leader wrote, and which time of our clock it stands for. */
type Adopted = ReadonlyMap<string, { readonly written: string; readonly ours: string }>;

export class AdoptedTimes {
  /** By the request's UID. One that this process has accepted has nothing here. */
  readonly #known = new Map<string, Adopted>();

  /**
   * @param now by this process's clock
   * @returns the request with the times that this process has to wait for
   */
  adopt<T extends Request>(request: T, now: number): T {
    const { uid, deletionTimestamp } = request.metadata;
    // Of a finished request only its images may have to be waited for.
    const isRemoved = request.kind === 'CheckpointRequest' && deletionTimestamp !== undefined;
    if (isFinished(request) && !isRemoved) return request;
    const adopted = this.#known.get(uid) ?? firstSight(request, now);
    this.#known.set(uid, adopted);
    const status: Waiting | undefined = request.status;
    return status && adopted.size > 0
      ? { ...request, status: { ...status, ...ours(status, adopted) } }
      : request;
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#known.delete(uid);
  }
}

function firstSight(request: Request, now: number): Adopted {
  const times = [...awaited(request)].filter((one): one is [string, string, number] => {
    return one[1] !== undefined;
  });
  return new Map(
    times.map(([name, written, ms]) => [name, { written, ours: timestamp(now + ms) }] as const),
  );
}

/** Name, value and length, in milliseconds, of what a request may be waiting for. */
function awaited(request: Request): [string, string | undefined, number][] {
  if (request.kind === 'CheckpointRequest') {
    const removal = request.status?.conditions?.find((one) => one.type === imagesRemoved);
    return [
      ['deadline', request.status?.deadline, request.spec.timeoutSeconds * 1000],
      [imagesRemoved, removal?.lastTransitionTime, 0],
    ];
  }
  const { decision, deadlines = {} } = request.status ?? {};
  const { prepareSeconds, blackoutSeconds } = timeoutsOf(request);
  if (decision) {
    const isCommitted = decision.outcome === 'Committed';
    const ms = isCommitted ? commitConfirmationMs : abortConfirmationMs;
    return [
      ['confirmation', deadlines.confirmation, ms],
      ['lastLook', deadlines.lastLook, lastLookMs],
    ];
  }
  if (deadlines.blackout !== undefined || isPrepared(request)) {
    return [['blackout', deadlines.blackout, blackoutSeconds * 1000]];
  }
  const isDryRun = request.kind === 'MigrationRequest' && request.spec.dryRun;
  return [
    ['prepare', deadlines.prepare, isDryRun ? inspectionMs : prepareSeconds * 1000],
    ['retry', deadlines.retry, mostRetries * prepareSeconds * 1000],
  ];
}

function ours({ deadline, deadlines, conditions }: Waiting, adopted: Adopted): Waiting {
  const read = (name: string, text: string): string => {
    const known = adopted.get(name);
    return known?.written === text ? known.ours : text;
  };
  const all = Object.entries(deadlines ?? {}) as [string, string][];
  return {
    ...(deadline !== undefined && { deadline: read('deadline', deadline) }),
    ...(deadlines && {
      deadlines: Object.fromEntries(all.map(([name, text]) => [name, read(name, text)])),
    }),
    ...(conditions && {
      conditions: conditions.map((one) =>
        adopted.has(one.type)
          ? { ...one, lastTransitionTime: read(one.type, one.lastTransitionTime) }
          : one,
      ),
    }),
  };
}

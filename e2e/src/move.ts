// SPDX-License-Identifier: Apache-2.0
// Moves a pod by a MigrationRequest and turns the request's status into the report's form.
import type { MigrationRequest } from '../../crds/src/index.ts';
import { Move } from './report.ts';
import { create, ended, migration, summary } from './requests.ts';

export interface MoveOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly to?: string;
  /** Name of the request; absent: from the pod's name and a number. */
  readonly name?: string;
  readonly onSourceLoss?: 'Fail' | 'RestoreNewestCheckpoint';
  readonly timeouts?: Partial<MigrationRequest['spec']['timeouts']>;
}

let lastMove = 0;

/** Creates the request only. Returns its name. @throws CommandError when admission refuses it */
export async function requestMove(o: MoveOptions): Promise<string> {
  const name = o.name ?? `move-${o.pod.slice(0, 40)}-${++lastMove}`;
  await create(migration, o.namespace, name, {
    podName: o.pod,
    ...(o.to === undefined ? {} : { targetNodeName: o.to }),
    ...(o.onSourceLoss === undefined ? {} : { onSourceLoss: o.onSourceLoss }),
    ...(o.timeouts === undefined ? {} : { timeouts: o.timeouts }),
  });
  return name;
}

/** A move did not end as the case expects (`code` MoveFailed). */
export class MoveError extends Error {
  readonly code = 'MoveFailed';
  constructor(message: string) {
    super(message);
    this.name = 'MoveError';
  }
}

/** Moves a pod and gives the report's entry and the new pod's name. @throws MoveError */
export async function move(
  o: MoveOptions & { readonly workload: string },
  tell: (line: string) => void,
): Promise<{ entry: Move; pod: string }> {
  const name = await requestMove(o);
  const request = await ended(migration, { namespace: o.namespace, name }, tell);
  const end = summary(request);
  if (end?.status !== 'True')
    throw new MoveError(`${name}: ${end?.reason ?? 'no condition'}: ${end?.message ?? ''}`);
  const pod = request.status?.target?.podName;
  if (pod === undefined) throw new MoveError(`${name}: status names no target pod`);
  return { entry: reportEntry(request, o.workload), pod };
}

/** @throws MoveError when the status lacks a fact that the report needs */
export function reportEntry(request: MigrationRequest, workload: string): Move {
  const s = request.status;
  const facts = s?.report;
  const zero = { qpn: true, lkey: true, rkey: true, gid: true, ip: true, mac: true };
  const { qp = 0, cq = 0, mr = 0 } = facts?.objects ?? {};
  const parsed = Move.safeParse({
    pod: request.spec.podName,
    workload,
    from: s?.source?.nodeName,
    to: s?.target?.nodeName,
    blackoutMs: facts?.blackoutMs,
    steps: facts?.steps,
    bytes: { pages: 0, verbs: 0, rootfs: 0, ...facts?.bytes },
    objects: { qp, cq, mr },
    // What a pod does not have cannot have changed; what it has must be told.
    same: { ...(qp + mr === 0 ? zero : {}), ...facts?.same },
  });
  if (!parsed.success)
    throw new MoveError(
      `${request.metadata.name}: the status lacks facts: ${parsed.error.message}`,
    );
  return parsed.data;
}

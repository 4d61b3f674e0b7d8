// SPDX-License-Identifier: Apache-2.0
// Moves a pod by a MigrationRequest, and makes the entry of the report from the request's status.
import type { MigrationRequest } from '../../crds/src/index.ts';
import { provider } from './provider/choice.ts';
import { Move } from './report.ts';
import { kubectl } from './cluster.ts';
import { createRequest, waitUntilEnded, migration, succeededCondition } from './requests.ts';

export interface MoveOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly to?: string;
  /** Name of the request. Absent: the pod's name and a number. */
  readonly name?: string;
  readonly onSourceLoss?: 'Fail' | 'RestoreNewestCheckpoint';
  readonly timeouts?: Partial<MigrationRequest['spec']['timeouts']>;
  readonly podIPConnections?: MigrationRequest['spec']['podIPConnections'];
  readonly dryRun?: boolean;
}

let lastMove = 0;

/** Creates the request only. @returns its name. @throws CommandError when admission refuses it */
export async function requestMove(o: MoveOptions): Promise<string> {
  const timeouts = { ...provider.moveTimeouts, ...o.timeouts };
  const name = o.name ?? `move-${o.pod.slice(0, 40)}-${++lastMove}`;
  await createRequest(migration, o.namespace, name, {
    podName: o.pod,
    ...(o.to === undefined ? {} : { targetNodeName: o.to }),
    ...(o.onSourceLoss === undefined ? {} : { onSourceLoss: o.onSourceLoss }),
    ...(o.podIPConnections === undefined ? {} : { podIPConnections: o.podIPConnections }),
    ...(o.dryRun === undefined ? {} : { dryRun: o.dryRun }),
    ...(Object.keys(timeouts).length > 0 ? { timeouts } : {}),
  });
  return name;
}

/** Asks for the end of a move, as its user would. It may have ended, or be decided, before that is read. */
export async function cancelMove(namespace: string, name: string): Promise<void> {
  const patch = '{"spec":{"cancel":true}}';
  await kubectl('-n', namespace, 'patch', 'mreq', name, '--type=merge', '-p', patch);
}

/** Waits until a move has ended, as one that was cancelled does. @returns its request. @throws MoveError for another end */
export async function waitUntilCancelled(
  namespace: string,
  name: string,
  log: (line: string) => void,
): Promise<MigrationRequest> {
  const request = await waitUntilEnded(migration, { namespace, name }, log);
  const end = succeededCondition(request);
  if (end?.status !== 'False' || end.reason !== 'Cancelled')
    throw new MoveError(`${name} was cancelled and has ended so: ${JSON.stringify(end)}`);
  return request;
}

/** A move did not end as the case expects (`code` MoveFailed). */
export class MoveError extends Error {
  readonly code = 'MoveFailed';
  constructor(message: string) {
    super(message);
    this.name = 'MoveError';
  }
}

/** Moves a pod. @returns the report's entry and the new pod's name. @throws MoveError */
export async function move(
  o: MoveOptions & { readonly workload: string },
  log: (line: string) => void,
): Promise<{ entry: Move; pod: string }> {
  const name = await requestMove(o);
  const request = await waitUntilEnded(migration, { namespace: o.namespace, name }, log);
  const end = succeededCondition(request);
  if (end?.status !== 'True')
    throw new MoveError(`${name}: ${end?.reason ?? 'no condition'}: ${end?.message ?? ''}`);
  const pod = request.status?.target?.podName;
  if (pod === undefined) throw new MoveError(`${name}: status names no target pod`);
  return { entry: reportEntry(request, o.workload), pod };
}

/** @throws MoveError when the status lacks a field that the report needs */
export function reportEntry(request: MigrationRequest, workload: string): Move {
  const s = request.status;
  const report = s?.report;
  const zero = { qpn: true, lkey: true, rkey: true, gid: true, ip: true, mac: true };
  const { qp = 0, cq = 0, mr = 0 } = report?.objects ?? {};
  const parsed = Move.safeParse({
    pod: request.spec.podName,
    workload,
    from: s?.source?.nodeName,
    to: s?.target?.nodeName,
    blackoutMs: report?.blackoutMs,
    steps: report?.steps,
    bytes: { pages: 0, verbs: 0, rootfs: 0, ...report?.bytes },
    objects: { qp, cq, mr },
    // A pod without RDMA objects has no identifiers that could change. Otherwise the status must report them.
    same: { ...(qp + mr === 0 ? zero : {}), ...report?.same },
  });
  if (!parsed.success)
    throw new MoveError(
      `${request.metadata.name}: the status lacks fields of the report: ${parsed.error.message}`,
    );
  return parsed.data;
}

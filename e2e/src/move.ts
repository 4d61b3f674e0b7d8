// SPDX-License-Identifier: Apache-2.0
// Applies a MigrationRequest, watches it and turns its status into the report's form.
import { API_VERSION, MigrationRequest, type Condition } from '../../crds/src/index.ts';
import { apply, kubectl, kubectlJson } from './lab.ts';
import { Move } from './report.ts';
import { until } from './wait.ts';

export interface MoveOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly to?: string;
  /** Name of the request; absent: from the pod's name and a number. */
  readonly name?: string;
  readonly timeouts?: { prepareSeconds?: number; blackoutSeconds?: number };
}

let lastMove = 0;

/** Creates the request only. Returns its name. @throws CommandError when admission refuses it */
export async function requestMove(o: MoveOptions): Promise<string> {
  const name = o.name ?? `move-${o.pod.slice(0, 40)}-${++lastMove}`;
  await apply({
    apiVersion: API_VERSION,
    kind: 'MigrationRequest',
    metadata: { name, namespace: o.namespace },
    spec: {
      podName: o.pod,
      ...(o.to === undefined ? {} : { targetNodeName: o.to }),
      ...(o.timeouts === undefined ? {} : { timeouts: o.timeouts }),
    },
  });
  return name;
}

export async function readMove(namespace: string, name: string): Promise<MigrationRequest> {
  return MigrationRequest.parse(await kubectlJson('-n', namespace, 'get', 'mreq', name));
}

export function summary(request: MigrationRequest): Condition | undefined {
  return request.status?.conditions?.find((c) => c.type === 'Succeeded');
}

/** Waits until the request has ended, telling each change of phase. */
export function moveEnd(
  namespace: string,
  name: string,
  tell: (line: string) => void,
  within = 420,
): Promise<MigrationRequest> {
  let shown = '';
  return until(`MigrationRequest ${name} ends`, { within }, async () => {
    const request = await readMove(namespace, name);
    const s = request.status;
    const line = [
      s?.phase ?? 'Pending',
      s?.sourceAgent && `source ${s.sourceAgent.state}`,
      s?.targetAgent && `target ${s.targetAgent.state}`,
      s?.decision && `decision ${s.decision.outcome}`,
    ]
      .filter(Boolean)
      .join(', ');
    if (line !== shown) tell(`  ${name}: ${line}`);
    shown = line;
    const end = summary(request);
    return end && end.status !== 'Unknown' ? request : undefined;
  });
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
  const request = await moveEnd(o.namespace, name, tell);
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

/** Events that speak of an object, as `reason: message` lines. */
export async function eventsOf(namespace: string, name: string): Promise<string[]> {
  const list = (await kubectlJson('-n', namespace, 'get', 'events')) as {
    items: { involvedObject: { name: string }; reason?: string; message?: string }[];
  };
  return list.items
    .filter((e) => e.involvedObject.name === name)
    .map((e) => `${e.reason ?? ''}: ${e.message ?? ''}`);
}

export const deleteMove = (namespace: string, name: string): Promise<string> =>
  kubectl('-n', namespace, 'delete', 'mreq', name, '--wait=false');

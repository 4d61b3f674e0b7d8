// SPDX-License-Identifier: Apache-2.0
// Requests of all three kinds: create, read, wait for the end, delete.
import type { z } from 'zod';
import {
  API_VERSION,
  CheckpointRequest,
  MigrationRequest,
  RestoreRequest,
  type Condition,
} from '../../crds/src/index.ts';
import { apply, kubectl, kubectlJson } from './cluster.ts';
import { until } from './wait.ts';

interface WithStatus {
  status?: { phase?: string | undefined; conditions?: Condition[] | undefined } | undefined;
}

/** A kind of request: its names, its schema, and its progress as parts of one line. */
export interface Kind<T extends WithStatus> {
  readonly kind: string;
  readonly short: string;
  readonly schema: z.ZodType<T>;
  readonly progress: (request: T) => (string | false | undefined)[];
}

export const migration: Kind<MigrationRequest> = {
  kind: 'MigrationRequest',
  short: 'mreq',
  schema: MigrationRequest,
  progress: ({ status: s }) => [
    s?.sourceAgent && `source ${s.sourceAgent.state}`,
    s?.targetAgent && `target ${s.targetAgent.state}`,
    s?.decision && `decision ${s.decision.outcome}`,
  ],
};

export const checkpoint: Kind<CheckpointRequest> = {
  kind: 'CheckpointRequest',
  short: 'creq',
  schema: CheckpointRequest,
  progress: ({ status: s }) => [s?.agent && `agent ${s.agent.state}`],
};

export const restore: Kind<RestoreRequest> = {
  kind: 'RestoreRequest',
  short: 'rreq',
  schema: RestoreRequest,
  progress: ({ status: s }) => [
    s?.sourceAgent && `image source ${s.sourceAgent.state}`,
    s?.targetAgent && `target ${s.targetAgent.state}`,
    s?.decision && `decision ${s.decision.outcome}`,
  ],
};

/** @throws CommandError when admission refuses it */
export async function createRequest(
  kind: { readonly kind: string },
  namespace: string,
  name: string,
  spec: object,
): Promise<void> {
  await apply({
    apiVersion: API_VERSION,
    kind: kind.kind,
    metadata: { name, namespace },
    spec,
  });
}

export async function readRequest<T extends WithStatus>(
  kind: Kind<T>,
  namespace: string,
  name: string,
): Promise<T> {
  return kind.schema.parse(await kubectlJson('-n', namespace, 'get', kind.short, name));
}

/** The condition `Succeeded`: how the request has ended, or `Unknown` while it has not. */
export function succeededCondition(request: WithStatus): Condition | undefined {
  return request.status?.conditions?.find((c) => c.type === 'Succeeded');
}

/** Waits until the request has ended, for `within` seconds at most, and logs each change. */
export function waitUntilEnded<T extends WithStatus>(
  kind: Kind<T>,
  key: { readonly namespace: string; readonly name: string; readonly within?: number },
  log: (line: string) => void,
): Promise<T> {
  let shown = '';
  const { namespace, name, within = 420 } = key;
  return until(`${kind.kind} ${name} ends`, { within }, async () => {
    const request = await readRequest(kind, namespace, name);
    const line = [request.status?.phase ?? 'Pending', ...kind.progress(request)]
      .filter(Boolean)
      .join(', ');
    if (line !== shown) log(`  ${name}: ${line}`);
    shown = line;
    const end = succeededCondition(request);
    return end && end.status !== 'Unknown' ? request : undefined;
  });
}

/** Events about an object, as `reason: message` lines. */
export async function eventsOf(namespace: string, name: string): Promise<string[]> {
  const list = (await kubectlJson('-n', namespace, 'get', 'events')) as {
    items: { involvedObject: { name: string }; reason?: string; message?: string }[];
  };
  return list.items
    .filter((e) => e.involvedObject.name === name)
    .map((e) => `${e.reason ?? ''}: ${e.message ?? ''}`);
}

/** Deletes a request, and does not wait for its finalizer. */
export const deleteRequest = (
  kind: { short: string },
  namespace: string,
  name: string,
): Promise<string> => kubectl('-n', namespace, 'delete', kind.short, name, '--wait=false');

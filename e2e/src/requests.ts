// SPDX-License-Identifier: Apache-2.0
// Requests of all three kinds: created, watched until they have ended, and what they ended with.
import type { z } from 'zod';
import {
  API_VERSION,
  CheckpointRequest,
  MigrationRequest,
  RestoreRequest,
  type Condition,
} from '../../crds/src/index.ts';
import { apply, kubectl, kubectlJson } from './lab.ts';
import { until } from './wait.ts';

interface Conditioned {
  status?: { phase?: string | undefined; conditions?: Condition[] | undefined } | undefined;
}

/** A kind of request: what kubectl calls it, its schema, and how its progress reads in one line. */
export interface Kind<T extends Conditioned> {
  readonly kind: string;
  readonly short: string;
  readonly schema: z.ZodType<T>;
  readonly line: (request: T) => (string | false | undefined)[];
}

export const migration: Kind<MigrationRequest> = {
  kind: 'MigrationRequest',
  short: 'mreq',
  schema: MigrationRequest,
  line: ({ status: s }) => [
    s?.sourceAgent && `source ${s.sourceAgent.state}`,
    s?.targetAgent && `target ${s.targetAgent.state}`,
    s?.decision && `decision ${s.decision.outcome}`,
  ],
};

export const checkpoint: Kind<CheckpointRequest> = {
  kind: 'CheckpointRequest',
  short: 'creq',
  schema: CheckpointRequest,
  line: ({ status: s }) => [s?.agent && `agent ${s.agent.state}`],
};

export const restore: Kind<RestoreRequest> = {
  kind: 'RestoreRequest',
  short: 'rreq',
  schema: RestoreRequest,
  line: ({ status: s }) => [
    s?.sourceAgent && `holder ${s.sourceAgent.state}`,
    s?.targetAgent && `target ${s.targetAgent.state}`,
    s?.decision && `decision ${s.decision.outcome}`,
  ],
};

/** @throws CommandError when admission refuses it */
export async function create(
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

export async function read<T extends Conditioned>(
  kind: Kind<T>,
  namespace: string,
  name: string,
): Promise<T> {
  return kind.schema.parse(await kubectlJson('-n', namespace, 'get', kind.short, name));
}

/** How it ended, or how it stands. */
export function summary(request: Conditioned): Condition | undefined {
  return request.status?.conditions?.find((c) => c.type === 'Succeeded');
}

/** Waits until the request has ended, telling each change. */
export function ended<T extends Conditioned>(
  kind: Kind<T>,
  of: { readonly namespace: string; readonly name: string; readonly within?: number },
  tell: (line: string) => void,
): Promise<T> {
  let shown = '';
  const { namespace, name, within = 420 } = of;
  return until(`${kind.kind} ${name} ends`, { within }, async () => {
    const request = await read(kind, namespace, name);
    const line = [request.status?.phase ?? 'Pending', ...kind.line(request)]
      .filter(Boolean)
      .join(', ');
    if (line !== shown) tell(`  ${name}: ${line}`);
    shown = line;
    const end = summary(request);
    return end && end.status !== 'Unknown' ? request : undefined;
  });
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

/** Deletes a request without waiting for its finalizers. */
export const remove = (kind: { short: string }, namespace: string, name: string): Promise<string> =>
  kubectl('-n', namespace, 'delete', kind.short, name, '--wait=false');

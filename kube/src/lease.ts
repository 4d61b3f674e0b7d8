// SPDX-License-Identifier: Apache-2.0
// Leases (coordination.k8s.io): who leads, and who is alive.
import { z } from 'zod';
import { ObjectMeta } from '../../crds/src/index.ts';
import type { Api, Call } from './api.ts';
import { isNotFound } from './errors.ts';
import type { Resource } from './resource.ts';

const Lease = z.object({
  metadata: ObjectMeta,
  spec: z
    .object({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      renewTime: z.string().nullish(),
      leaseTransitions: z.number().nullish(),
    })
    .prefault({}),
});
export type Lease = z.infer<typeof Lease>;

export const leases: Resource<Lease> = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
  parse: (json) => Lease.parse(json),
};

/** metav1.MicroTime. @param ms since the epoch */
export const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

export interface Heartbeat {
  readonly namespace: string;
  readonly name: string;
  readonly holder: string;
  readonly durationSeconds: number;
  /** Null: not that one. */
  readonly labels: Readonly<Record<string, string | null>>;
  /** Null: not that one. Absent: as they are. */
  readonly annotations?: Readonly<Record<string, string | null>> | undefined;
}

/** Renews a Lease that has one holder only; makes it if it is not there. @throws the API server's error */
export async function renewLease(
  api: Api,
  { namespace, name, holder, durationSeconds, labels, annotations = {} }: Heartbeat,
  now: number,
  call: Call = {},
): Promise<void> {
  const spec = {
    ...{ holderIdentity: holder, leaseDurationSeconds: durationSeconds, renewTime: microTime(now) },
  };
  try {
    await api.merge(leases, namespace, name, { metadata: { labels, annotations }, spec }, call);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const metadata = { name, labels: withoutNull(labels), annotations: withoutNull(annotations) };
    await api.create(leases, namespace, { metadata, spec }, call);
  }
}

const withoutNull = (all: Readonly<Record<string, string | null>>): object =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));

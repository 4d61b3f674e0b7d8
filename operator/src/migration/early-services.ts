// SPDX-License-Identifier: Apache-2.0
// Services that lead to a target before the decision. A target has its pod's labels from its creation, and its readiness gate
// keeps it out of Services; not out of one that publishes the addresses of pods that are not ready (docs/adr/0013, docs/adr/0038).
import { z } from 'zod';
import {
  ObjectMeta,
  selects,
  type Finding,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import { listParsed, type Api, type Pod, type Resource } from '../../../kube/src/index.ts';

const Service = z.object({
  metadata: ObjectMeta,
  spec: z
    .object({
      publishNotReadyAddresses: z.boolean().nullish(),
      selector: z.record(z.string(), z.string()).nullish(),
    })
    .prefault({}),
});
type Service = z.infer<typeof Service>;

export const services: Resource<Service> = {
  apiVersion: 'v1',
  kind: 'Service',
  plural: 'services',
  namespaced: true,
  parse: (json) => Service.parse(json),
};

/** One without a selector leads to what somebody else has written down. */
function leadsEarly({ spec }: Service, { metadata }: Pod): boolean {
  const matchLabels = spec.selector ?? {};
  if (spec.publishNotReadyAddresses !== true || Object.keys(matchLabels).length === 0) return false;
  return selects({ matchLabels }, metadata.labels);
}

/** For a dry run that begins. @returns names */
export async function readEarlyServices(
  api: Pick<Api, 'list'>,
  { spec, status }: MigrationRequest,
  pod: Pod | undefined,
  signal: AbortSignal,
): Promise<string[]> {
  if (!spec.dryRun || status?.source !== undefined || !pod) return [];
  const here = { namespace: pod.metadata.namespace, signal };
  const found = await listParsed(api, services, here, (one) => leadsEarly(one, pod));
  return found.map(({ metadata }) => metadata.name);
}

/** So many names are in a message. */
const mostNames = 8;

export function noteOf(names: readonly string[]): Finding | undefined {
  const [first, ...others] = names;
  if (first === undefined) return undefined;
  const few = names.slice(0, mostNames).join(', ');
  const which = others.length === 0 ? `Service ${first} has` : `Services ${few} have`;
  return {
    reason: 'EarlyService',
    message: `${which} publishNotReadyAddresses: it leads to the target from its creation on, beside the pod. Until the move is decided nothing answers there, and new connections to that address wait.`,
  };
}

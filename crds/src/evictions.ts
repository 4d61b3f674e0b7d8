// SPDX-License-Identifier: Apache-2.0
// MigrationRequests that empty a node: those of evictions, of policies, and of `kubectl sealift drain`.
import { z } from 'zod';
import { annotations, labels } from './names.ts';

/** What has made such a request; `Drain`: the command of `kubectl sealift`. */
export const Trigger = z.enum(['Eviction', 'Cordon', 'Taint', 'Drain']);
export type Trigger = z.infer<typeof Trigger>;

/** Such a request is deleted that long after it has finished, unless the policy says otherwise. Its pod is tried again then. */
export const triggeredTtlSeconds = 600;

/** The name of the one request that moves a pod away: whoever asks for it, and however often, there is one at a time. */
export const evacuationName = (podUid: string): string => `evict-${podUid}`;

interface Evacuation {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** @returns a MigrationRequest's metadata and spec */
export function evacuationRequest(
  pod: { readonly metadata: { readonly name: string; readonly uid: string } },
  trigger: Trigger,
  {
    ttlSecondsAfterFinished = triggeredTtlSeconds,
    priority,
  }: {
    readonly ttlSecondsAfterFinished?: number | undefined;
    readonly priority?: number | undefined;
  } = {},
): { readonly metadata: Evacuation; readonly spec: object } {
  const { name, uid } = pod.metadata;
  return {
    metadata: {
      name: evacuationName(uid),
      labels: { [labels.trigger]: trigger },
      annotations: { [annotations.podUid]: uid },
    },
    spec: { podName: name, ttlSecondsAfterFinished, ...(priority !== undefined && { priority }) },
  };
}

/** Values of `annotations.eviction`. */
export const evictionModes = ['migrate', 'evict'] as const;

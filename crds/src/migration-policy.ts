// SPDX-License-Identifier: Apache-2.0
// The schema of MigrationPolicies, which are cluster-scoped, and which of several applies to a pod.
import { z } from 'zod';
import { atomicList, Count, DnsName, ObjectMeta } from './atoms.ts';
import { Bandwidth } from './bandwidth.ts';
import { labelSelector, selects } from './label-selector.ts';
import { API_VERSION } from './names.ts';
import { PodIPConnections, podIPConnectionsMeaning } from './pod-ip-connections.ts';
import { Priority } from './priority.ts';
import { TimeoutLimits } from './timeouts.ts';

const places = z.int().min(1).max(10_000).optional();

export const MoveLimitsOfPolicy = z
  .object({
    migrations: places.meta({
      format: 'int32',
      description:
        'How many migrations of these pods may be under way in the cluster. Absent: as many as the chart allows.',
    }),
    migrationsPerNode: places.meta({
      format: 'int32',
      description:
        'How many migrations of these pods may leave a node, and how many may arrive at one. Absent: as many as the chart allows.',
    }),
    bandwidthPerMigration: Bandwidth.optional().meta({
      description:
        'Bytes per second at which the agent sends the images of one of these pods, as a quantity: 64Mi. The pod stands still ' +
        'meanwhile: a move that cannot be in time because of it is refused (BandwidthTooLow). Absent: as fast as it goes.',
    }),
  })
  .meta({
    description:
      'Limits of migrations, beside those of the chart (operator.limits): the lower one counts.',
  });
export type MoveLimitsOfPolicy = z.infer<typeof MoveLimitsOfPolicy>;

export const UnmovableAction = z.enum(['Keep', 'Evict']);
export type UnmovableAction = z.infer<typeof UnmovableAction>;

const EvictionPolicy = z
  .object({
    action: z
      .enum(['None', 'Migrate'])
      .default('None')
      .meta({
        description:
          'What an eviction of such a pod does. Migrate: it moves the pod and is refused (429) until the pod has moved. ' +
          'None: it evicts the pod, unless the annotation sealift.dev/eviction of the pod says migrate.',
      }),
    unmovable: UnmovableAction.default('Keep').meta({
      description:
        'What an eviction does with a pod that cannot be moved: its MigrationRequest has failed. Keep: it is refused. ' +
        'Evict: it evicts the pod, whose state is then lost.',
    }),
  })
  .meta({ description: 'What the eviction of a pod does: kubectl drain, autoscalers.' });

const Taint = z
  .object({
    key: z.string().min(1).max(317).meta({ description: 'Key of the taint.' }),
    value: z
      .string()
      .max(63)
      .optional()
      .meta({ description: 'Value of the taint. Absent: any value.' }),
    effect: z
      .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
      .optional()
      .meta({ description: 'Effect of the taint. Absent: any effect.' }),
  })
  .meta({ description: 'A taint.' });

const NodeTriggers = z
  .object({
    cordoned: z
      .boolean()
      .default(false)
      .meta({ description: 'Move these pods away from a node that is cordoned.' }),
    taints: z
      .array(Taint)
      .max(32)
      .optional()
      .meta({
        description: 'Move these pods away from a node that has one of these taints.',
        ...atomicList,
      }),
  })
  .meta({
    description: 'States of a node that make the operator move these pods without an eviction.',
  });

export const MigrationPolicySpec = z
  .object({
    priority: z
      .int()
      .min(-1_000_000)
      .max(1_000_000)
      .default(0)
      .meta({
        format: 'int32',
        description:
          'Of several policies that select a pod only the one with the highest priority applies; of those with the same ' +
          'priority the one whose name comes first.',
      }),
    namespaceSelector: labelSelector(
      'Labels of the namespaces whose pods are meant. Absent or empty: all namespaces.',
    ).optional(),
    podSelector: labelSelector(
      'Labels of the pods that are meant. Absent or empty: all pods of the runtime class sealift in these namespaces.',
    ).optional(),
    queuePriority: Priority.optional().meta({
      format: 'int32',
      description:
        'Priority in the queue of MigrationRequests of these pods whose spec.priority is absent, and the highest that theirs ' +
        'counts for. It says nothing about which policy applies. Absent: 0, and no bound.',
    }),
    limits: MoveLimitsOfPolicy.optional(),
    timeouts: TimeoutLimits.optional(),
    eviction: EvictionPolicy.prefault({}),
    nodes: NodeTriggers.prefault({}),
    podIPConnections: PodIPConnections.optional().meta({
      description: `${podIPConnectionsMeaning} A request that says it itself has its own. Absent: Refuse.`,
    }),
    ttlSecondsAfterFinished: Count.optional().meta({
      description:
        'Delete a MigrationRequest of these pods that long after it has finished, unless its own spec says how long. ' +
        'Absent: keep it; one that an eviction or a node’s state has made is deleted after 600 s.',
    }),
  })
  .meta({
    description: 'Which pods the policy is for, and how they are moved. Every part is optional.',
  });
export type MigrationPolicySpec = z.infer<typeof MigrationPolicySpec>;

export const MigrationPolicy = z.object({
  apiVersion: z.literal(API_VERSION).default(API_VERSION),
  kind: z.literal('MigrationPolicy').default('MigrationPolicy'),
  metadata: ObjectMeta,
  spec: MigrationPolicySpec,
});
export type MigrationPolicy = z.infer<typeof MigrationPolicy>;

/** What a MigrationRequest keeps of the policy that applies to it. */
export const AppliedPolicy = z
  .object({
    name: DnsName.meta({ description: 'Name of the MigrationPolicy.' }),
    generation: Count.meta({
      description: 'The metadata.generation of the policy as it applied.',
    }),
    queuePriority: Priority.optional().meta({
      format: 'int32',
      description: 'The policy’s spec.queuePriority.',
    }),
    limits: MoveLimitsOfPolicy.optional(),
    timeouts: TimeoutLimits.optional(),
    podIPConnections: PodIPConnections.optional().meta({
      description: 'The policy’s spec.podIPConnections.',
    }),
    ttlSecondsAfterFinished: Count.optional().meta({
      description: 'The policy’s spec.ttlSecondsAfterFinished.',
    }),
  })
  .meta({
    description:
      'The MigrationPolicy that applies to the move, as it was when the operator accepted the request. Absent: none does.',
  });
export type AppliedPolicy = z.infer<typeof AppliedPolicy>;

interface Labelled {
  readonly labels: Readonly<Record<string, string>>;
}

/** Which policy applies to a pod. The order of `policies` does not matter. Pure. */
export function policyFor(
  policies: readonly MigrationPolicy[],
  pod: { readonly metadata: Labelled },
  namespace: Labelled,
): MigrationPolicy | undefined {
  const [first] = policies
    .filter(({ spec }) => selects(spec.namespaceSelector ?? {}, namespace.labels))
    .filter(({ spec }) => selects(spec.podSelector ?? {}, pod.metadata.labels))
    .sort(
      (a, b) => b.spec.priority - a.spec.priority || (a.metadata.name < b.metadata.name ? -1 : 1),
    );
  return first;
}

/** What a request's status says of the policy. Only what the policy says itself. */
export function applied({ metadata, spec }: MigrationPolicy): AppliedPolicy {
  const { queuePriority, limits, timeouts, podIPConnections, ttlSecondsAfterFinished } = spec;
  return {
    name: metadata.name,
    generation: metadata.generation,
    ...(queuePriority !== undefined && { queuePriority }),
    ...(limits && { limits }),
    ...(timeouts && { timeouts }),
    ...(podIPConnections && { podIPConnections }),
    ...(ttlSecondsAfterFinished !== undefined && { ttlSecondsAfterFinished }),
  };
}

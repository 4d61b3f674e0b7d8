// SPDX-License-Identifier: Apache-2.0
// Where a pod is, as the operator has chosen it.
import { z } from 'zod';
import { atomicList, Count, Message, Reason, Timestamp, Uid } from './atoms.ts';
import { PodMemory } from './memory.ts';

/** How many nodes the scheduler chooses among, at most: the pod names each of them. */
export const mostCandidates = 100;
/** How many nodes a request tries, at most. */
export const mostTriedNodes = 512;
/** After so many kubelets that have refused the pod no further one is asked: the pod is the cause, it seems. */
export const mostKubeletRefusals = 5;

/** The pod's controller, as the pod's ownerReferences name it. */
export const PodController = z
  .object({
    apiVersion: z.string().max(300).meta({ description: 'Its group and version.' }),
    kind: z.string().max(63).meta({ description: 'Its kind, as ReplicaSet.' }),
    name: z.string().max(253).meta({ description: 'Its name.' }),
    uid: Uid.meta({ description: 'Its UID.' }),
    blockOwnerDeletion: z
      .boolean()
      .optional()
      .meta({ description: 'As the source’s owner reference had it.' }),
    leftBehind: z.boolean().optional().meta({
      description:
        'Whether it was deleted after the decision and has left its pods behind, as with --cascade=orphan: the moved pod belongs to nobody.',
    }),
    handover: z.enum(['AfterResume', 'BeforeHold', 'ByName']).meta({
      description:
        'When the target takes the source’s place in its controller: after it has been resumed, as for a ReplicaSet; before the source is held, as for a Job; or with its name, in a second move, as for a StatefulSet.',
    }),
  })
  .meta({
    description: 'Only of a source: its controller. The moved pod belongs to it afterwards.',
  });
export type PodController = z.infer<typeof PodController>;

export const Placement = z.object({
  nodeName: z.string().max(253).meta({ description: 'Name of the node.' }),
  podName: z
    .string()
    .max(253)
    .optional()
    .meta({ description: 'Name of the pod, in the namespace of the request.' }),
  podUID: Uid.optional().meta({ description: 'UID of the pod. Absent: it is not created yet.' }),
  restarts: Count.optional().meta({
    description:
      'Only of a source: how often its containers had been restarted when the operator accepted the request.',
  }),
  controller: PodController.optional(),
  standsInFor: z.string().max(253).optional().meta({
    description:
      'Only of a landing pod: the name that it has in its controller. The target of its move gets that name.',
  }),
  podIPs: z
    .array(z.object({ ip: z.string().max(45).meta({ description: 'IPv4 or IPv6 address.' }) }))
    .max(2)
    .optional()
    .meta({
      ...atomicList,
      description:
        'Only of a target: the addresses of the source in the cluster’s network, which it keeps. Absent: it gets new ones.',
    }),
  agentAddress: z
    .string()
    .max(300)
    .optional()
    .meta({ description: 'host:port at which the node’s agent receives images.' }),
});
export type Placement = z.infer<typeof Placement>;

/** Of a target the scheduler chooses the node, among those that the operator has found fit. */
export const TargetPlacement = Placement.extend({
  nodeName: z.string().max(253).optional().meta({
    description: 'Name of the node. Absent: the scheduler has not chosen it yet.',
  }),
  memory: PodMemory.optional().meta({
    description:
      'How much memory the operator has found there for the pod: others do not get it until the pod is restored, or is not to be. ' +
      'Absent: the agents do not say how much there is.',
  }),
  candidates: z
    .array(z.string().max(253).meta({ description: 'Name of a node.' }))
    .max(mostCandidates)
    .optional()
    .meta({
      ...atomicList,
      description: 'Until the scheduler has chosen one: the nodes that the pod may be put on.',
    }),
});
export type TargetPlacement = z.infer<typeof TargetPlacement>;

/** A target that was given up before the source had been touched. */
export const TriedNode = z.object({
  nodeName: z.string().max(253).meta({ description: 'Name of the node.' }),
  podUID: Uid.optional().meta({ description: 'UID of the target pod that was created there.' }),
  reason: Reason.meta({ description: 'Why the node could not take the target, as one word.' }),
  message: Message.meta({ description: 'Why the node could not take the target.' }),
});
export const TriedNodes = z
  .array(TriedNode)
  .max(mostTriedNodes)
  .meta({
    ...atomicList,
    description: 'Nodes that could not take the target, if spec.targetNodeName leaves a choice.',
  });
export type TriedNode = z.infer<typeof TriedNode>;

interface Tried {
  readonly target?: Pick<TargetPlacement, 'podUID'> | undefined;
  readonly triedNodes?: readonly Pick<TriedNode, 'podUID'>[] | undefined;
}

/** Whether the target of the status was given up for another node, and is not replaced yet. */
export function isGivenUp({ target, triedNodes = [] }: Tried = {}): boolean {
  return target?.podUID !== undefined && triedNodes.some((one) => one.podUID === target.podUID);
}

export const Deadlines = z
  .object({
    prepare: Timestamp.optional().meta({
      description: 'When the target has to be at its create gate.',
    }),
    retry: Timestamp.optional().meta({
      description:
        'Once other nodes are tried: until when the operator does so, three times spec.timeouts.prepareSeconds from the start.',
    }),
    blackout: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'The operator sets it when the target is at its create gate. The source’s agent may lock and hold from then on.',
    }),
    confirmation: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'Only after the decision: until when the operator waits for the nodes’ confirmation.',
    }),
    lastLook: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'Once the target runs: when the operator looks for the last time whether it still does.',
    }),
  })
  .meta({
    description: 'Deadlines as absolute times, so that they outlive a restart of the operator.',
  });
export type Deadlines = z.infer<typeof Deadlines>;

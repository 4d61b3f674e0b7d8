// SPDX-License-Identifier: Apache-2.0
// The schema of MigrationRequests: spec and status. The operator and the agents of both nodes own parts of the status.
import { z } from 'zod';
import { SourceAgent, TargetAgent } from './agents.ts';
import {
  commonStatus,
  DnsName,
  Message,
  Milliseconds,
  ObjectMeta,
  TtlSecondsAfterFinished,
} from './atoms.ts';
import { Conditions } from './conditions.ts';
import { Decision } from './decision.ts';
import { Inspection } from './inspection.ts';
import { AppliedPolicy } from './migration-policy.ts';
import { API_VERSION } from './names.ts';
import { PodIPConnections, podIPConnectionsMeaning } from './pod-ip-connections.ts';
import { Priority } from './priority.ts';
import { Deadlines, Placement, TargetPlacement, TriedNodes } from './placement.ts';
import { Report } from './steps.ts';
import { Timeouts } from './timeouts.ts';

export const OnSourceLoss = z.enum(['Fail', 'RestoreNewestCheckpoint']);
export type OnSourceLoss = z.infer<typeof OnSourceLoss>;

export const MigrationRequestSpec = z
  .object({
    podName: DnsName.meta({ description: 'The pod to move, in the request’s namespace.' }),
    targetNodeName: DnsName.optional().meta({
      description:
        'Name of the node to move to. Absent: the scheduler chooses among the compatible nodes.',
    }),
    cancel: z.boolean().default(false).meta({
      description: 'Stop the move if nothing is decided yet. It can be set, not unset.',
    }),
    dryRun: z
      .boolean()
      .default(false)
      .meta({
        description:
          'Only look whether the pod can be moved: the request ends with what would be moved or with everything that is in ' +
          'the way (status.inspection). Nothing is created, and the pod is not touched.',
      }),
    onSourceLoss: OnSourceLoss.default('Fail').meta({
      description:
        'What the operator does when the source is lost before the decision (its node was reset or a container ended). ' +
        'Fail: nothing; the kubelet starts the pod’s containers from the beginning, as its restartPolicy says. ' +
        'RestoreNewestCheckpoint: the operator deletes the pod and makes a new one of the same name from the newest ' +
        'CheckpointRequest of that pod that has succeeded.',
    }),
    priority: Priority.optional().meta({
      format: 'int32',
      description:
        'Place among the requests that wait for their turn (status.queue): each point puts the request ahead of those that are up ' +
        'to a minute older. It counts no more than the queuePriority of the policy that applies, and may be changed while the ' +
        'request waits. Absent: that of the policy, else 0.',
    }),
    podIPConnections: PodIPConnections.optional().meta({
      description: `${podIPConnectionsMeaning} Absent: as the policy that applies says, else Refuse.`,
    }),
    ttlSecondsAfterFinished: TtlSecondsAfterFinished,
    timeouts: Timeouts.prefault({}),
  })
  .meta({
    description: 'What to move, and where to. Immutable except for cancel and priority.',
    'x-kubernetes-validations': [
      { rule: 'self.podName == oldSelf.podName', message: 'podName is immutable' },
      {
        rule:
          'has(self.targetNodeName) == has(oldSelf.targetNodeName) && ' +
          '(!has(self.targetNodeName) || self.targetNodeName == oldSelf.targetNodeName)',
        message: 'targetNodeName is immutable',
      },
      { rule: 'self.dryRun == oldSelf.dryRun', message: 'dryRun is immutable' },
      { rule: 'self.timeouts == oldSelf.timeouts', message: 'timeouts are immutable' },
      { rule: 'self.onSourceLoss == oldSelf.onSourceLoss', message: 'onSourceLoss is immutable' },
      {
        rule:
          'has(self.podIPConnections) == has(oldSelf.podIPConnections) && ' +
          '(!has(self.podIPConnections) || self.podIPConnections == oldSelf.podIPConnections)',
        message: 'podIPConnections is immutable',
      },
      {
        rule:
          'has(self.ttlSecondsAfterFinished) == has(oldSelf.ttlSecondsAfterFinished) && ' +
          '(!has(self.ttlSecondsAfterFinished) || ' +
          'self.ttlSecondsAfterFinished == oldSelf.ttlSecondsAfterFinished)',
        message: 'ttlSecondsAfterFinished is immutable',
      },
      { rule: '!oldSelf.cancel || self.cancel', message: 'cancel cannot be unset' },
    ],
  });
export type MigrationRequestSpec = z.infer<typeof MigrationRequestSpec>;

export const MigrationPhase = z.enum([
  'Pending',
  'Inspecting',
  'Preparing',
  'Holding',
  'Transferring',
  'Restoring',
  'Resuming',
  'RollingBack',
  'Succeeded',
  'Failed',
  'Cancelled',
]);
export type MigrationPhase = z.infer<typeof MigrationPhase>;

/** From the pod's annotations when the operator accepted the request. Later changes of the annotations do not count. */
export const PeersStatus = z
  .object({
    rnrRetry: z.int().min(1).max(7).meta({
      format: 'int32',
      description:
        'How often the peers repeat an operation that is not received: rnr_retry of their queue pairs.',
    }),
    rnrTimer: z
      .int()
      .min(0)
      .max(31)
      .meta({ format: 'int32', description: 'Code of the RNR timer that the held device sends.' }),
    retryBudgetMs: Milliseconds.meta({ description: 'How many milliseconds a hold may last.' }),
  })
  .meta({
    description:
      'Retry limit of the pod’s peers, as its annotations say. Absent: the agent takes it from the pod’s queue pairs.',
  });

export const Recovery = z
  .object({
    checkpointName: DnsName.optional().meta({
      description: 'The CheckpointRequest that the pod is restored from.',
    }),
    restoreRequestName: DnsName.optional().meta({
      description: 'The RestoreRequest that restores the pod. Absent: there is none.',
    }),
    message: Message.optional().meta({ description: 'Why nothing is restored.' }),
  })
  .meta({
    description: 'What the operator does about a lost source, if spec.onSourceLoss asks for it.',
  });
export type Recovery = z.infer<typeof Recovery>;

/** What a request that is not accepted yet waits for. */
export const QueueCause = z.enum([
  'Cluster',
  'SourceNode',
  'TargetNode',
  'Policy',
  'OlderRequests',
]);
export type QueueCause = z.infer<typeof QueueCause>;

export const Queue = z
  .object({
    position: z
      .int()
      .min(1)
      .meta({ format: 'int32', description: 'Place in the queue: 1 comes first.' }),
    waitsFor: QueueCause.meta({
      description:
        'Which limit is reached: of the cluster, of the pod’s node, of the nodes that it could move to, of the policy. ' +
        'OlderRequests: what is free goes to requests before this one, which are older or have a higher priority.',
    }),
    sourceNodeName: z.string().max(253).meta({ description: 'The node that the pod runs on.' }),
    priority: Priority.optional().meta({
      format: 'int32',
      description: 'The priority by which it has this place.',
    }),
  })
  .meta({
    description:
      'While the request waits for its turn. Ordered by age, of which each point of priority makes up for a minute; then by name.',
  });
export type Queue = z.infer<typeof Queue>;

export const SecondMove = z
  .object({
    requestName: DnsName.meta({ description: 'The MigrationRequest of the landing pod.' }),
    attempt: z.int().min(1).meta({ format: 'int32', description: 'Which attempt it is.' }),
    nodeName: z.string().max(253).meta({ description: 'The node that it moves the pod to.' }),
  })
  .meta({
    description:
      'Only of a pod that a StatefulSet knows by its name: status.target is a landing pod, from which another request moves it on to one of that name.',
  });
export type SecondMove = z.infer<typeof SecondMove>;

export const MigrationRequestStatus = z
  .object({
    ...commonStatus,
    phase: MigrationPhase.optional().meta({
      description:
        'Summary for people, derived from the other fields. Programs read the conditions.',
    }),
    conditions: Conditions.optional(),
    policy: AppliedPolicy.optional(),
    queue: Queue.optional(),
    inspection: Inspection.optional(),
    source: Placement.optional().meta({
      description: 'The pod that runs now. Written by the operator.',
    }),
    target: TargetPlacement.optional().meta({
      description: 'The pod that will run. Written by the operator.',
    }),
    secondMove: SecondMove.optional(),
    triedNodes: TriedNodes.optional(),
    peers: PeersStatus.optional(),
    deadlines: Deadlines.optional(),
    recovery: Recovery.optional(),
    report: Report.optional(),
    decision: Decision.optional(),
    sourceAgent: SourceAgent.optional(),
    targetAgent: TargetAgent.optional(),
  })
  .meta({ description: 'How far the move is, and how it ended.' });
export type MigrationRequestStatus = z.infer<typeof MigrationRequestStatus>;

export const MigrationRequest = z.object({
  apiVersion: z.literal(API_VERSION).default(API_VERSION),
  kind: z.literal('MigrationRequest').default('MigrationRequest'),
  metadata: ObjectMeta,
  spec: MigrationRequestSpec,
  status: MigrationRequestStatus.optional(),
});
export type MigrationRequest = z.infer<typeof MigrationRequest>;

// SPDX-License-Identifier: Apache-2.0
// What the node agents publish. Each part has one writer, so that no writer overwrites another's fields.
import { z } from 'zod';
import { atomicList, Count, Message, Milliseconds, Reason, Timestamp, Uid } from './atoms.ts';
import { Fabric, PlacedFabric } from './fabric.ts';
import { Inspection } from './inspection.ts';
import { PodMemory } from './memory.ts';
import { Bytes, ObjectCounts, Steps } from './steps.ts';

const Numbers = z.array(z.int().min(0).meta({ format: 'int64' })).meta(atomicList);
const Strings = z.array(z.string().max(253)).meta(atomicList);

export const Identity = z
  .object({
    qpns: Numbers.optional().meta({ description: 'Queue pair numbers.' }),
    lkeys: Numbers.optional().meta({ description: 'Local keys of memory regions.' }),
    rkeys: Numbers.optional().meta({ description: 'Remote keys of memory regions.' }),
    gids: Strings.optional().meta({ description: 'GIDs of the RDMA devices.' }),
    gidTable: Strings.optional().meta({
      description: 'The same with their interfaces and indexes, each as `net1 3 fd00::1`.',
    }),
    ips: Strings.optional().meta({ description: 'Addresses of their interfaces.' }),
    macs: Strings.optional().meta({ description: 'MAC addresses of their interfaces.' }),
  })
  .meta({
    description:
      'The numbers and addresses by which peers know the pod, as this node’s agent reads them.',
  });
export type Identity = z.infer<typeof Identity>;

export const GidEntry = z.object({
  interface: z.string().max(64).meta({ description: 'The interface that the RDMA device is on.' }),
  index: z.int().min(0).meta({ description: 'By which programs name the address.' }),
  gid: z.string().max(64).meta({ description: 'In IPv6 notation.' }),
});
export type GidEntry = z.infer<typeof GidEntry>;

/** More than that would make a request too large. */
export const MAX_NAKS = 16_384;

export const Nak = z.object({
  qpn: z.int().min(0).max(0xffffff).meta({ description: 'Number of the queue pair.' }),
  psn: z.int().min(0).max(0xffffff).meta({ description: 'PSN that the peer has refused.' }),
  syndrome: z.int().min(0x61).max(0x63).meta({
    description:
      'AETH syndrome: 97 invalid request, 98 remote access error, 99 remote operational error.',
  }),
});
export type Nak = z.infer<typeof Nak>;

export const SourceState = z.enum([
  'Waiting',
  'Inspected',
  'Holding',
  'Dumping',
  'Transferring',
  'Sent',
  'Resumed',
  'Lost',
  'Gone',
  'Failed',
]);
export type SourceState = z.infer<typeof SourceState>;

export const SourceAgent = z
  .object({
    state: SourceState.meta({
      description:
        'Waiting: the agent has seen the request. Inspected: only of a dry run, the agent has looked at the pod. ' +
        'Holding: it locks the network, holds the device and freezes the tasks. ' +
        'Dumping: it writes the images. Transferring: it sends them. Sent: the target has verified them. ' +
        'Resumed: the pod runs again after Aborted. ' +
        'Lost: after Aborted nothing was left to resume, because the node was reset or a container ended. ' +
        'Gone: the pod is silent and killed after Committed. ' +
        'Failed: the agent cannot continue; the pod runs unless it is frozen.',
    }),
    reason: Reason.optional().meta({ description: 'Why the agent cannot continue, as one word.' }),
    message: Message.optional().meta({
      description: 'Why the agent cannot continue, and what to do.',
    }),
    inspection: Inspection.optional(),
    memory: PodMemory.optional(),
    steps: Steps.optional(),
    bytes: Bytes.optional(),
    objects: ObjectCounts.optional(),
    identity: Identity.optional(),
    fabric: Fabric.optional(),
    lostConnections: Count.optional().meta({
      description:
        'TCP connections at the pod’s own IP that the move ends, as spec.podIPConnections allows. The agent counts them before it ' +
        'touches the pod, and once more when the pod stands still. Absent: the move ends none.',
    }),
    bytesPerSecond: Count.optional().meta({
      description:
        'The bandwidth at most at which the agent sends the images, as the policy says. Absent: as fast as it goes.',
    }),
    checkpointDigest: z
      .string()
      .max(128)
      .optional()
      .meta({ description: 'Digest of the manifest of the images that the agent sends.' }),
    naks: z
      .array(Nak)
      .max(MAX_NAKS)
      .optional()
      .meta({
        description:
          'NAKs that end a connection, which have come in the hold. The target’s agent gives them to the restored queue pairs ' +
          'before it resumes them.',
        ...atomicList,
      }),
    peerDeadline: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'Only for peers with a retry limit: the decision is due by then, by this node’s clock. The agent writes it before the hold.',
    }),
    peerBudgetMs: Milliseconds.optional().meta({
      description:
        'The same limit in milliseconds from the start of the hold. The target’s agent counts it by its own clock.',
    }),
  })
  .meta({ description: 'Written by the agent of the source’s node.' });
export type SourceAgent = z.infer<typeof SourceAgent>;

export const TargetState = z.enum([
  'Preparing',
  'AtCreateGate',
  'Receiving',
  'Restoring',
  'AtResumeGate',
  'Answering',
  'Running',
  'TornDown',
  'Failed',
]);
export type TargetState = z.infer<typeof TargetState>;

const restored: ReadonlySet<TargetState | undefined> = new Set([
  ...(['AtResumeGate', 'Answering', 'Running', 'TornDown', 'Failed'] as const),
]);

/** Whether the target's pod has the memory that it will have: it is restored, or is not restored any more. */
export const isRestored = (state: TargetState | undefined): boolean => restored.has(state);

export const TargetContainer = z.object({
  name: z.string().max(253).meta({ description: 'Name of the container.' }),
  state: TargetState.meta({ description: 'How far the agent has brought the container.' }),
});
export type TargetContainer = z.infer<typeof TargetContainer>;

export const TargetAgent = z
  .object({
    state: TargetState.meta({
      description:
        'Preparing: the agent has seen the pod. AtCreateGate: a container waits for the images. ' +
        'Receiving: images arrive. Restoring: CRIU restores the containers. ' +
        'AtResumeGate: every container is restored, none has run. ' +
        'Answering: after Committed the device, still held, answers peers, and the agent waits until the source is silent. ' +
        'Running: the pod runs after Committed. TornDown: the agent has removed the restored state after Aborted. ' +
        'Failed: the agent cannot continue.',
    }),
    reason: Reason.optional().meta({ description: 'Why the agent cannot continue, as one word.' }),
    message: Message.optional().meta({
      description: 'Why the agent cannot continue, and what to do.',
    }),
    refuses: Uid.optional().meta({
      description:
        'UID of the target pod for which the node has too little memory. Nothing of the source has been touched yet. The message ' +
        'says how much.',
    }),
    steps: Steps.optional(),
    resumedAt: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'When the agent began to let the containers run, by this node’s clock. What ended since then had been moved.',
    }),
    identity: Identity.optional(),
    gids: z
      .array(GidEntry)
      .max(1024)
      .optional()
      .meta({
        description:
          'GID tables of the target’s RDMA devices, once it is at its create gate. The source’s agent locks no pod with a ' +
          'queue pair whose address has another index here.',
        ...atomicList,
      }),
    fabric: PlacedFabric.optional(),
    peerDeadline: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'Only for peers with a retry limit: the agent commits until then, by this node’s clock, and not later.',
    }),
    containers: z
      .array(TargetContainer)
      .max(64)
      .optional()
      .meta({
        description: 'The containers of the target.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
  })
  .meta({ description: 'Written by the agent of the target’s node.' });
export type TargetAgent = z.infer<typeof TargetAgent>;

export const CheckpointState = z.enum([
  'Waiting',
  'Holding',
  'Dumping',
  'Stored',
  'Removed',
  'Failed',
]);
export type CheckpointState = z.infer<typeof CheckpointState>;

export const CheckpointAgent = z
  .object({
    state: CheckpointState.meta({
      description:
        'Waiting: the agent has seen the request. Holding: it locks the network, holds the device and freezes the tasks. ' +
        'Dumping: it writes the images. Stored: the images are complete and the pod runs on. ' +
        'Removed: the agent has deleted the images. Failed: the pod runs on, no images are left.',
    }),
    reason: Reason.optional().meta({ description: 'Why the agent cannot continue, as one word.' }),
    message: Message.optional().meta({
      description: 'Why the agent cannot continue, and what to do.',
    }),
    steps: Steps.optional(),
    bytes: Bytes.optional(),
    objects: ObjectCounts.optional(),
    identity: Identity.optional(),
    path: z
      .string()
      .max(1024)
      .optional()
      .meta({ description: 'Directory of the images on the node.' }),
    digest: z.string().max(128).optional().meta({ description: 'Digest of the manifest.' }),
    size: Count.optional().meta({ description: 'Bytes of all image files on the disk.' }),
    notRemoved: Message.optional().meta({
      description: 'Why the images of a deleted request are still there, and what to do.',
    }),
  })
  .meta({ description: 'Written by the agent of the node that takes and stores the checkpoint.' });
export type CheckpointAgent = z.infer<typeof CheckpointAgent>;

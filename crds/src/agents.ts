// SPDX-License-Identifier: Apache-2.0
// What the node agents say. Each part has one writer, so that nobody overwrites another's.
import { z } from 'zod';
import { Count, Message, Milliseconds, Reason, Timestamp } from './atoms.ts';
import { Bytes, ObjectCounts, Steps } from './steps.ts';

const atomicList = { 'x-kubernetes-list-type': 'atomic' } as const;
const Numbers = z.array(z.int().min(0).meta({ format: 'int64' })).meta(atomicList);
const Strings = z.array(z.string().max(253)).meta(atomicList);

export const Identity = z
  .object({
    qpns: Numbers.optional(),
    lkeys: Numbers.optional(),
    rkeys: Numbers.optional(),
    gids: Strings.optional(),
    ips: Strings.optional(),
    macs: Strings.optional(),
  })
  .meta({ description: 'What peers know the pod by, read on this node.' });
export type Identity = z.infer<typeof Identity>;

export const SourceState = z.enum([
  'Waiting',
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
        'Waiting: seen. Holding: lock, hold, freeze. Dumping. Transferring: images go out. ' +
        'Sent: the target has verified them. Resumed: running again after Aborted. ' +
        'Lost: after Aborted there was nothing to let go on, its node was reset or its container ended. ' +
        'Gone: silent and killed after Committed. Failed: cannot go on; the pod runs unless held.',
    }),
    reason: Reason.optional(),
    message: Message.optional(),
    steps: Steps.optional(),
    bytes: Bytes.optional(),
    objects: ObjectCounts.optional(),
    identity: Identity.optional(),
    checkpointDigest: z.string().max(128).optional(),
    peerDeadline: Timestamp.optional().meta({
      format: 'date-time',
      description:
        'Only for peers that give up: until when it has to be decided, by this node’s clock. Written before the hold.',
    }),
    peerBudgetMs: Milliseconds.optional().meta({
      description:
        'The same, counted from the beginning of the hold. The target counts it by its own clock.',
    }),
  })
  .meta({ description: 'Written by the agent of the node that has the source.' });
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

export const TargetContainer = z.object({
  name: z.string().max(253),
  state: TargetState,
});
export type TargetContainer = z.infer<typeof TargetContainer>;

export const TargetAgent = z
  .object({
    state: TargetState.meta({
      description:
        'Preparing: pod seen. AtCreateGate: waits for images. Receiving. Restoring. ' +
        'AtResumeGate: every container is rebuilt, none has run. Answering: after Committed its device ' +
        'answers peers, still held, and it waits for the source to be silent. Running: resumed after ' +
        'Committed. TornDown: removed after Aborted. Failed: cannot go on.',
    }),
    reason: Reason.optional(),
    message: Message.optional(),
    steps: Steps.optional(),
    identity: Identity.optional(),
    peerDeadline: Timestamp.optional().meta({
      format: 'date-time',
      description: 'Only for peers that give up: until when it may commit, by this node’s clock.',
    }),
    containers: z
      .array(TargetContainer)
      .max(64)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }),
  })
  .meta({ description: 'Written by the agent of the node that gets the target.' });
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
        'Waiting: seen. Holding: lock, hold, freeze. Dumping. Stored: images are complete and ' +
        'the pod runs on. Removed: images deleted. Failed: the pod runs on, no images are left.',
    }),
    reason: Reason.optional(),
    message: Message.optional(),
    steps: Steps.optional(),
    bytes: Bytes.optional(),
    objects: ObjectCounts.optional(),
    identity: Identity.optional(),
    path: z.string().max(1024).optional().meta({ description: 'Folder of the images.' }),
    digest: z.string().max(128).optional().meta({ description: 'Digest of the manifest.' }),
    size: Count.optional().meta({ description: 'Bytes on the disk, all files together.' }),
  })
  .meta({ description: 'Written by the agent of the node that takes and keeps the checkpoint.' });
export type CheckpointAgent = z.infer<typeof CheckpointAgent>;

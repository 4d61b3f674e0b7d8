// SPDX-License-Identifier: Apache-2.0
// What to do about images that cannot be used. The code that finds the fault does not know what the images are for; the
// reconciler that reports it does.
import type { Failure } from '../support/errors.ts';
import type { Entry } from '../support/journal/journal.ts';

type Kind = Entry['kind'];

const newImages: Record<Kind, string> = {
  MigrationRequest: 'Create a new MigrationRequest.',
  RestoreRequest:
    'Create a RestoreRequest with another checkpoint as spec.checkpointName ("kubectl get creq" lists them), or take a new one with a CheckpointRequest.',
  CheckpointRequest: 'Create a new CheckpointRequest.',
};

const sameVersion: Record<Kind, string> = {
  MigrationRequest:
    'Install the same version of Sealift on both nodes, then create a new MigrationRequest.',
  RestoreRequest:
    'Create a RestoreRequest whose spec.targetNodeName is a node with the version of Sealift that took the checkpoint, or take a new one with a CheckpointRequest.',
  CheckpointRequest:
    'Wait until Sealift on the node has one version, then create a new CheckpointRequest.',
};

const remedies: Record<string, Record<Kind, string> | undefined> = {
  CheckpointNotFound: newImages,
  ImageCorrupt: newImages,
  ImageTruncated: newImages,
  ImageVersion: sameVersion,
};

/** The failure, with the remedy for a request of this kind if it is one of images. Pure. */
export function withRemedy(kind: Kind, { code, message }: Failure): Failure {
  const remedy = remedies[code]?.[kind];
  return { code, message: remedy === undefined ? message : `${message} ${remedy}` };
}

// SPDX-License-Identifier: Apache-2.0
// What a restorer is asked for.
import type { CreateAtGate } from '../../support/gate-waiters.ts';
import type { HoldAnswer } from '../../support/peers.ts';
import type { RestoredContainer } from './restored-container.ts';

/** One container to be restored. */
export interface RestoreOptions {
  /** UID of the request, and the token at the resume gate. */
  requestUid: string;
  /** Directory of the images in the store. */
  imageId: string;
  /** Of a checkpoint's manifest, as in ImagesToVerify. */
  digest?: string | undefined;
  create: Omit<CreateAtGate, 'answer'>;
  /** The request for people: its kind and name. */
  request: string;
  /** State of the restored queue pairs. `error` for a checkpoint: its peers are not in the same state any more. */
  qpState: 'keep' | 'error';
  /** How the held device puts the peers off. */
  answer: HoldAnswer;
  /** Whether to unpack the files that the pod's containers share: only before the first of them is restored. */
  podFiles: boolean;
  /** Addresses of connections that the target resets: it has them only for CRIU. */
  resets?: readonly string[] | undefined;
  /** Ends the unpacking of files. */
  signal?: AbortSignal | undefined;
}

/** Images of a checkpoint, before they are restored. */
export interface ImagesToVerify {
  /** UID of the request, and the directory of the decrypted images. */
  requestUid: string;
  /** Directory of the images in the store. */
  imageId: string;
  digest: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A restore that was begun. */
export interface RestoreToRead extends RestoredContainer {
  requestUid: string;
  /** The container's name. */
  container: string;
}

// SPDX-License-Identifier: Apache-2.0
// Whether a disk has room for the images of a pod. One that CRIU fills in the blackout has none for the journal either.
import { AgentError } from '../support/errors.ts';
import type { ImageStore } from '../node/transfer/image-store.ts';

/** For the journal, for logs, and for what others write meanwhile. */
const SPARE_BYTES = 64 * 2 ** 20;

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/**
 * @param bytes that the images take at least
 * @returns why they do not fit, for people; undefined: they do, or nobody knows
 */
export async function diskRefusal(
  store: Pick<ImageStore, 'freeBytes'>,
  nodeName: string,
  bytes: number,
): Promise<string | undefined> {
  const free = await store.freeBytes();
  if (free === undefined || free >= bytes + SPARE_BYTES) return undefined;
  return (
    `The disk of node ${nodeName} has ${mebibytes(free)} free below /var/lib/sealift, and the pod's images take at least ` +
    `${mebibytes(bytes)}, beside ${mebibytes(SPARE_BYTES)} that stay free.`
  );
}

/** Of a source, before anything of its pod is touched. @throws AgentError DiskFull */
export async function checkDiskRoom(
  store: Pick<ImageStore, 'freeBytes'>,
  nodeName: string,
  bytes: number,
): Promise<void> {
  const refusal = await diskRefusal(store, nodeName, bytes);
  if (refusal === undefined) return;
  throw new AgentError('DiskFull', `${refusal} Free space there, then create a new request.`);
}

// SPDX-License-Identifier: Apache-2.0
// Ends an upload whose sender is gone. Only the sender's idleness counts: a receiver that writes or syncs a large image
// reads nothing meanwhile, and after the last byte only the receiver has work to do.
import type { IncomingMessage } from 'node:http';

const CHECK_MS = 1000;

/** What the watch reads of an upload. */
export type Upload = Pick<
  IncomingMessage,
  'complete' | 'readableFlowing' | 'readableLength' | 'destroy'
> & { socket: { bytesRead: number } };

/**
 * Destroys the upload when its sender has sent nothing for `idleMs` although the receiver reads.
 * @returns ends the watch
 */
export function watchIdle(upload: Upload, idleMs: number): () => void {
  let bytes = -1;
  let since = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const { bytesRead } = upload.socket;
    if (upload.complete || !awaitsData(upload) || bytesRead !== bytes) {
      since = now;
      bytes = bytesRead;
    } else if (now - since >= idleMs) {
      upload.destroy(new Error(`aborted: no data for ${Math.round(idleMs / 1000)} s`));
    }
  }, CHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Whether the receiver has taken all that has come. A stream whose consumer is busy is paused. */
function awaitsData({ readableFlowing, readableLength }: Upload): boolean {
  return readableFlowing === true && readableLength === 0;
}

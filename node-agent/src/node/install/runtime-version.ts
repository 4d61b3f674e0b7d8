// SPDX-License-Identifier: Apache-2.0
// The node's container runtime as the kubelet reports it. A kubelet that has just started may not know it yet.
import {
  ApiError,
  ConnectionError,
  messageOf,
  type Clock,
  type Logger,
} from '../../../../kube/src/index.ts';

const RETRY_MS = 5000;
/** Then the installer ends with an error, and the kubelet starts it again. */
const LIMIT_MS = 600_000;

/** What the kubelet writes while its runtime does not answer. */
const isKnown = (version: string): boolean => !/^[a-z-]+:\/\/Unknown$/i.test(version);

/**
 * Asks for the version until the API server answers and the kubelet knows it. An agent that went on without would leave the
 * node without its runtime handler until somebody restarts it.
 * @param read the node's `status.nodeInfo.containerRuntimeVersion`, e.g. `containerd://2.4.2`
 * @throws ApiError, ConnectionError of the last attempt
 */
export async function knownRuntimeVersion(
  read: () => Promise<string>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<string> {
  const end = clock.now() + LIMIT_MS;
  for (;;) {
    let version: string | undefined;
    try {
      version = await read();
      if (isKnown(version) || clock.now() >= end) return version;
      log.warn({ version }, 'the kubelet does not know its runtime yet');
    } catch (error) {
      const isApi = error instanceof ApiError || error instanceof ConnectionError;
      if (!isApi || clock.now() >= end) throw error;
      log.warn({ code: error.code, detail: messageOf(error) }, 'no answer about this node');
    }
    await clock.sleep(RETRY_MS);
  }
}

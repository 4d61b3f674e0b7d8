// SPDX-License-Identifier: Apache-2.0
// Lets go of the requests that stay in the API after an uninstall. Their definitions stay, and so do they; a finalizer that no
// operator and no agent takes away would keep each of them, and its namespace, from being deleted.
import { finalizers, isFinished } from '../../../../crds/src/index.ts';
import {
  checkpointRequests,
  isConflict,
  isNotFound,
  listParsed,
  migrationRequests,
  restoreRequests,
  type Api,
} from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';

const kinds = [migrationRequests, restoreRequests, checkpointRequests] as const;
const own: readonly string[] = [finalizers.active, finalizers.images];

type Request = Parameters<typeof isFinished>[0] & {
  readonly kind: string;
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly resourceVersion: string;
    readonly finalizers: readonly string[];
  };
};

/** None of a kind whose definition is gone. @param keep a cluster may have more than this process has memory for */
async function requestsOf(
  api: Pick<Api, 'list'>,
  kind: (typeof kinds)[number],
  keep: (request: Request) => boolean,
): Promise<Request[]> {
  try {
    return await listParsed<Request>(api, kind, {}, keep);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/**
 * A request that has not finished may hold a pod, and whoever runs an operator would see it protected again.
 * @throws AgentError RequestsLeft; the API server's error
 */
export async function refuseWhileRequestsRun(api: Pick<Api, 'list'>): Promise<void> {
  const isLeft = (one: Request): boolean => !isFinished(one);
  const left = (await Promise.all(kinds.map((kind) => requestsOf(api, kind, isLeft)))).flat();
  if (left.length === 0) return;
  const names = left
    .slice(0, 3)
    .map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
  throw new AgentError(
    'RequestsLeft',
    `${left.length} requests of Sealift's have not finished (${names.join(', ')}). Wait until they have, or delete them, then run ` +
      'helm uninstall again. Where no operator runs any more, remove their finalizers sealift.dev/active and sealift.dev/images. ' +
      'Nothing has been changed.',
  );
}

/** Takes both finalizers from every request, and leaves those of others. @throws the API server's error */
export async function releaseRequests(api: Pick<Api, 'list' | 'merge'>): Promise<number> {
  let released = 0;
  for (const kind of kinds) {
    const isHeld = ({ metadata }: Request): boolean =>
      metadata.finalizers.some((one) => own.includes(one));
    for (const request of await requestsOf(api, kind, isHeld)) {
      if (await release(api, kind, request)) released++;
    }
  }
  return released;
}

/** @returns whether it had one */
async function release(
  api: Pick<Api, 'list' | 'merge'>,
  kind: (typeof kinds)[number],
  { metadata }: Request,
): Promise<boolean> {
  const { namespace, name, resourceVersion } = metadata;
  const kept = metadata.finalizers.filter((one) => !own.includes(one));
  if (kept.length === metadata.finalizers.length) return false;
  try {
    const patch = { metadata: { resourceVersion, finalizers: kept } };
    await api.merge<unknown>(kind, namespace, name, patch);
    return true;
  } catch (error) {
    // Somebody else has deleted or released it.
    if (isNotFound(error)) return false;
    if (!isConflict(error)) throw error;
    const [now] = await requestsOf(
      ...([api, kind] as const),
      (one) => one.metadata.namespace === namespace && one.metadata.name === name,
    );
    return now !== undefined && release(api, kind, now);
  }
}

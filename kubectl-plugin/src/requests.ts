// SPDX-License-Identifier: Apache-2.0
// Makes requests, and follows them until they end.
import { isFinished, summaryOf, type Condition } from '../../crds/src/index.ts';
import {
  checkpointRequests,
  Informer,
  keyOf,
  migrationRequests,
  restoreRequests,
  silent,
  type ApiObject,
  type Client,
  type Resource,
} from '../../kube/src/index.ts';
import { CommandError, exitCodes, usageError, type ExitCode } from './exit-codes.ts';
import { textIn, type Values } from './values.ts';

export interface AnyRequest extends ApiObject {
  readonly kind: string;
  readonly status?:
    | {
        readonly phase?: string | undefined;
        readonly conditions?: readonly Condition[] | undefined;
      }
    | undefined;
}

/** The three kinds, by the names that kubectl takes for them. */
const kinds = {
  ...{ mreq: migrationRequests, migrationrequest: migrationRequests },
  ...{ creq: checkpointRequests, checkpointrequest: checkpointRequests },
  ...{ rreq: restoreRequests, restorerequest: restoreRequests },
} as const;

export interface RequestName {
  readonly resource: Resource<AnyRequest>;
  readonly name: string;
}

/** `NAME` is a MigrationRequest, `rreq/NAME` one of another kind. @throws CommandError */
export function requestNamed(text: string): RequestName {
  const [kind = '', name, ...more] = text.includes('/') ? text.split('/') : ['mreq', text];
  const key = kind.toLowerCase().replace(/s$/, '');
  const resource = Object.hasOwn(kinds, key) ? kinds[key as keyof typeof kinds] : undefined;
  if (!resource || !name || more.length > 0) {
    throw usageError(`'${text}' names no request. Give NAME, mreq/NAME, creq/NAME or rreq/NAME.`);
  }
  return { resource, name };
}

/** The name of a request for a pod: the pod's, and what the API server appends. Names of requests are short. */
export const nameFor = (pod: string): { generateName: string } => ({
  generateName: `${pod.slice(0, 50).replace(/[^a-z0-9]+$/, '')}-`,
});

/** What `migrate` and a dry run ask for alike: part of a MigrationRequest's `spec`. */
export function askedOf(values: Values): object {
  const targetNodeName = textIn(values, 'to');
  const podIPConnections = textIn(values, 'pod-ip-connections');
  return {
    ...(targetNodeName === undefined ? {} : { targetNodeName }),
    ...(podIPConnections === undefined ? {} : { podIPConnections }),
  };
}

export async function createRequest<T extends AnyRequest>(
  api: Client,
  resource: Resource<T>,
  request: { namespace: string; metadata: object; spec: object },
  signal: AbortSignal,
): Promise<T> {
  const { namespace, metadata, spec } = request;
  const { apiVersion, kind } = resource;
  const body = { apiVersion, kind, metadata, spec };
  return resource.parse(await api.create(resource, namespace, body, { signal }));
}

export const hasSucceeded = (request: AnyRequest): boolean => summaryOf(request)?.status === 'True';

/** `migrationrequest.sealift.dev/trainer-x7k2p`, as kubectl writes it. */
export const fullName = ({ kind, metadata }: AnyRequest): string =>
  `${kind.toLowerCase()}.sealift.dev/${metadata.name}`;

export interface FollowOptions<T> {
  readonly resource: Resource<T>;
  readonly requests: readonly T[];
  /** The caller deletes them at the end, whatever that is. */
  readonly areTemporary?: boolean;
  /** Called with every version of each, the first one included. */
  readonly seen: (request: T) => void;
  readonly timeoutSeconds?: number | undefined;
  /** Whether a request is waited for no longer. Absent: it has ended. */
  readonly isOver?: (request: T) => boolean;
  readonly signal: AbortSignal;
}

/**
 * Waits until each of the requests has ended.
 * @returns them as they are then
 * @throws CommandError if the time is over, at Ctrl-C, or if one is deleted meanwhile
 */
export async function follow<T extends AnyRequest>(
  api: Client,
  { isOver = isFinished, areTemporary = false, ...options }: FollowOptions<T>,
): Promise<T[]> {
  const { resource, requests, seen, timeoutSeconds, signal } = options;
  const open = new Map(requests.map((one) => [one.metadata.uid, one]));
  const ended = new Map<string, T>();
  const done = Promise.withResolvers<void>();
  const look = (request: T): void => {
    const { uid } = request.metadata;
    if (!open.has(uid)) return;
    seen(request);
    if (!isOver(request)) return;
    open.delete(uid);
    ended.set(uid, request);
    if (open.size === 0) done.resolve();
  };
  for (const request of requests) look(request);
  const stop = new AbortController();
  const running = [...new Set(requests.map((one) => one.metadata.namespace))].map((namespace) => {
    const informer = new Informer({ api, resource, log: silent, selection: { namespace } });
    informer.listen((_key, after, before) => {
      if (after) look(after);
      else if (before && open.has(before.metadata.uid)) done.reject(deleted(before));
    });
    // One that was deleted before the first list is in no event.
    void informer.synced.then(() => {
      const there = new Set(informer.list().map((one) => one.metadata.uid));
      for (const one of open.values())
        if (one.metadata.namespace === namespace && !there.has(one.metadata.uid))
          done.reject(gone(one));
    });
    return informer.run(stop.signal);
  });
  const end = endOf(timeoutSeconds, signal, (what) => {
    const all = [...open.values()].map((one) => one.metadata);
    const names = all.map(({ name }) => name);
    const where = all[0] ? `-n ${all[0].namespace} ` : '';
    const first = `Watch it with: kubectl sealift status ${names[0] ?? ''} ${where}--wait`;
    return areTemporary
      ? `${what} The requests that were made for this are deleted.`
      : `${what} ${names.join(', ')} still runs. ${first}`;
  });
  try {
    await Promise.race([done.promise, end.promise]);
  } finally {
    end.clear();
    stop.abort();
    await Promise.all(running);
  }
  return requests.map((one) => ended.get(one.metadata.uid) ?? one);
}

const gone = (request: AnyRequest): CommandError =>
  new CommandError(
    exitCodes.failed,
    `${request.kind} ${keyOf(request)} was deleted before its end was seen. Look at the pod, and at the events of the namespace.`,
  );

const deleted = (request: AnyRequest): CommandError =>
  new CommandError(
    exitCodes.failed,
    `${request.kind} ${keyOf(request)} was deleted before it had ended. A move that is deleted is cancelled.`,
  );

/** Rejects when the time is over or the user has had enough. */
function endOf(
  timeoutSeconds: number | undefined,
  signal: AbortSignal,
  message: (what: string) => string,
): { promise: Promise<never>; clear: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  const fail = (code: ExitCode, what: string): void => {
    reject(new CommandError(code, message(what)));
  };
  const interrupted = (): void => fail(exitCodes.interrupted, 'Interrupted.');
  const timer =
    timeoutSeconds === undefined
      ? undefined
      : setTimeout(
          () => fail(exitCodes.timeout, `Not ended within ${timeoutSeconds} s.`),
          timeoutSeconds * 1000,
        );
  if (signal.aborted) interrupted();
  signal.addEventListener('abort', interrupted, { once: true });
  return {
    promise,
    clear: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', interrupted);
    },
  };
}

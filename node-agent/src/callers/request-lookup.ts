// SPDX-License-Identifier: Apache-2.0
// Looks up, on the API server, the pod that a runtime or CNI call is about and the request that made it. The handlers
// of create and CNI calls use it; the reconcilers read pods through it.
import {
  annotations,
  isFinished,
  podConditions,
  type Decision,
  type MigrationRequest,
  type RestoreRequest,
} from '../../../crds/src/index.ts';
import {
  isNotFound,
  migrationRequests,
  pods,
  restoreRequests,
  splitKey,
  unlessNotFound,
  type Api,
  type Pod,
} from '../../../kube/src/index.ts';
import { AgentError } from '../support/errors.ts';
import { sharesKernel } from '../support/shared-kernel.ts';
import type { Journal } from '../support/journal/journal.ts';

/** The kinds of requests that make a target pod. */
export type HandoverKind = 'MigrationRequest' | 'RestoreRequest';
export type Handover = MigrationRequest | RestoreRequest;

/** The request whose target a pod is. */
export interface TargetRequest {
  kind: HandoverKind;
  /** `namespace/name` */
  key: string;
  request: Handover;
}

export interface PodName {
  namespace: string;
  pod: string;
  /** Empty if the caller does not know it. */
  podUid: string;
}

/** A request by its kind and `namespace/name`. */
export type RequestName = Pick<TargetRequest, 'kind' | 'key'>;

export class RequestLookup {
  readonly #api: Api;
  readonly #requestFor: (pod: Pod) => RequestName | undefined;

  /** @param requestFor the request of this node that names the pod as its target, as the informers have it */
  constructor(api: Api, requestFor: (pod: Pod) => RequestName | undefined = () => undefined) {
    this.#api = api;
    this.#requestFor = requestFor;
  }

  /** @throws AgentError PodNotFound, also if another pod has the name by now; ConnectionError */
  async getPod(name: PodName): Promise<Pod> {
    let pod: Pod;
    try {
      pod = await this.#api.get(pods, name.namespace, name.pod);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new AgentError('PodNotFound', `There is no pod ${name.namespace}/${name.pod}.`);
    }
    // The kubelet calls a static pod by the hash of its file, which its mirror pod in the API has in an annotation.
    const isMirrored = pod.metadata.annotations[annotations.mirror] === name.podUid;
    if (name.podUid && pod.metadata.uid !== name.podUid && !isMirrored) {
      throw new AgentError(
        'PodNotFound',
        `Pod ${name.namespace}/${name.pod} with UID ${name.podUid} is gone: the name has UID ${pod.metadata.uid} now.`,
      );
    }
    return pod;
  }

  /** Whether the pod's node is known to share its kernel with another node. @throws ConnectionError */
  async sharesKernel({ spec }: Pod): Promise<boolean> {
    return (await sharesKernel(this.#api, spec.nodeName)) === true;
  }

  /**
   * The request whose target the pod is; undefined for a pod that no request has made. A target that has lost its annotation
   * is one all the same: it must not start from nothing.
   * @throws AgentError BadRequest if its annotation names a request that does not exist or did not make it;
   * ConnectionError
   */
  async targetRequest(pod: Pod): Promise<TargetRequest | undefined> {
    const migration = pod.metadata.annotations[annotations.migration];
    const restore = pod.metadata.annotations[annotations.restore];
    const named: RequestName | undefined =
      migration !== undefined
        ? { kind: 'MigrationRequest', key: migration }
        : restore !== undefined
          ? { kind: 'RestoreRequest', key: restore }
          : this.#requestFor(pod);
    if (named === undefined) return undefined;
    const { kind, key } = named;
    const isClaimed = migration !== undefined || restore !== undefined;
    const request = await this.#request(kind, key);
    if (!request) {
      throw new AgentError(
        'BadRequest',
        `${kind} ${key} of the pod's annotation does not exist. Delete the pod.`,
      );
    }
    // The informer was behind: the request names another pod by now.
    if (!isClaimed && !isTargetOf(pod, request)) return undefined;
    const { namespace } = splitKey(key);
    const uid = pod.metadata.annotations[annotations.requestUid];
    if (
      namespace !== pod.metadata.namespace ||
      (uid !== undefined && uid !== request.metadata.uid) ||
      !isTargetOf(pod, request)
    ) {
      throw new AgentError(
        'BadRequest',
        `${kind} ${key} of the pod's annotation did not make this pod. Delete the pod.`,
      );
    }
    return { kind, key, request };
  }

  /** The recorded decision, read from the API server and not from a cache. */
  async currentDecision(kind: HandoverKind, key: string): Promise<Decision | undefined> {
    return (await this.#request(kind, key))?.status?.decision;
  }

  async #request(kind: HandoverKind, key: string): Promise<Handover | undefined> {
    const { namespace, name } = splitKey(key);
    return unlessNotFound<Handover>(
      kind === 'MigrationRequest'
        ? this.#api.get(migrationRequests, namespace, name)
        : this.#api.get(restoreRequests, namespace, name),
    );
  }
}

/**
 * Whether the request names this pod as its target. Every user who may create pods may write the annotation. Before the
 * operator has recorded the target's UID, only it can have made a target of that name: it records a name before it creates the
 * pod, and refuses a pod of that name that it did not make. A request that was aborted before that keeps the name, which
 * a controller may give to a pod of its own then. So such a pod has to look like a target, too: by the annotation, or, if that is
 * gone, by the readiness gate, which nobody can take away from a pod that exists.
 */
export function isTargetOf({ metadata, spec }: Pod, request: Handover): boolean {
  const target = request.status?.target;
  if (target?.podName !== metadata.name) return false;
  if (target.podUID !== undefined) return target.podUID === metadata.uid;
  // A moved pod keeps gate and annotation for ever, and may have the name that another, aborted request has recorded.
  const made = metadata.annotations[annotations.requestUid];
  if (made !== undefined) return made === request.metadata.uid;
  return spec.readinessGates.some((one) => one.conditionType === podConditions.committed);
}

/** The one of these requests that names the pod as its target. One that has recorded its UID comes first. */
export function requestOf<T extends Handover>(pod: Pod, requests: readonly T[]): T | undefined {
  const own = requests.filter(
    (one) => one.metadata.namespace === pod.metadata.namespace && isTargetOf(pod, one),
  );
  return own.find((one) => one.status?.target?.podUID !== undefined) ?? own[0];
}

/** Names of a running pod's containers in the order in which the kubelet starts them: sidecars first. Pure. */
export function startOrder(pod: Pod): string[] {
  const sidecars = pod.spec.initContainers.filter((one) => one.restartPolicy === 'Always');
  return [...sidecars, ...pod.spec.containers].map((one) => one.name);
}

/**
 * Whether a target was resumed after Committed. From then on it is a pod like any other, also when its container or
 * sandbox is restarted. Before, it must stay locked, hidden and held.
 */
export function hasResumed(journal: Journal, target: TargetRequest): boolean {
  const { request } = target;
  if (request.status?.decision?.outcome !== 'Committed') return false;
  return journal.get(request.metadata.uid, 'target')?.stage === 'Running' || isFinished(request);
}

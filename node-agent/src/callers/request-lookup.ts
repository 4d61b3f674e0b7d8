// SPDX-License-Identifier: Apache-2.0
// What the API says about a pod that a runtime or CNI call is about: its annotations, and the request that it
// was made for.
import {
  annotations,
  isFinished,
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
  type Api,
  type Pod,
} from '../../../kube/src/index.ts';
import { AgentError } from '../support/errors.ts';
import type { Journal } from '../support/journal/journal.ts';

export type HandoverKind = 'MigrationRequest' | 'RestoreRequest';
export type Handover = MigrationRequest | RestoreRequest;

/** The request that a pod is the target of. */
export interface TargetRequest {
  kind: HandoverKind;
  /** `namespace/name` */
  key: string;
  request: Handover;
}

export interface PodName {
  namespace: string;
  pod: string;
  podUid: string;
}

export class RequestLookup {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** @throws AgentError PodNotFound if the name belongs to another pod by now. */
  async getPod(of: PodName): Promise<Pod> {
    let pod: Pod;
    try {
      pod = await this.#api.get(pods, of.namespace, of.pod);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new AgentError('PodNotFound', `there is no pod ${of.namespace}/${of.pod}`);
    }
    // Pods from a file on the node (static pods) have another UID in the API than on the node.
    if (of.podUid && pod.metadata.uid !== of.podUid) {
      throw new AgentError(
        'PodNotFound',
        `pod ${of.namespace}/${of.pod} is another one by now (${pod.metadata.uid})`,
      );
    }
    return pod;
  }

  /** @throws AgentError BadRequest for an annotation that names no request of this very pod. */
  async targetRequest(pod: Pod): Promise<TargetRequest | undefined> {
    const migration = pod.metadata.annotations[annotations.migration];
    const restore = pod.metadata.annotations[annotations.restore];
    const key = migration ?? restore;
    if (key === undefined) return undefined;
    const kind = migration === undefined ? 'RestoreRequest' : 'MigrationRequest';
    const request = await this.#request(kind, key);
    if (!request) {
      throw new AgentError('BadRequest', `${kind} ${key}, which made this pod, does not exist`);
    }
    const { namespace } = splitKey(key);
    const uid = pod.metadata.annotations[annotations.requestUid];
    if (
      namespace !== pod.metadata.namespace ||
      (uid !== undefined && uid !== request.metadata.uid)
    ) {
      throw new AgentError('BadRequest', `${kind} ${key} did not make this pod`);
    }
    return { kind, key, request };
  }

  /** The decision as the API server has it now, not as a cache had it. */
  async currentDecision(kind: HandoverKind, key: string): Promise<Decision | undefined> {
    return (await this.#request(kind, key))?.status?.decision;
  }

  async #request(kind: HandoverKind, key: string): Promise<Handover | undefined> {
    const { namespace, name } = splitKey(key);
    try {
      return kind === 'MigrationRequest'
        ? await this.#api.get(migrationRequests, namespace, name)
        : await this.#api.get(restoreRequests, namespace, name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

/** Names of the containers that a running pod has, in the order in which the kubelet starts them: sidecars first. */
export function startOrder(pod: Pod): string[] {
  const sidecars = pod.spec.initContainers.filter((one) => one.restartPolicy === 'Always');
  return [...sidecars, ...pod.spec.containers].map((one) => one.name);
}

/**
 * Whether a target has been released after Committed: then it is a pod like any other, also when its container or
 * its sandbox is made anew. Before, nothing of it may be heard.
 */
export function hasResumed(journal: Journal, target: TargetRequest): boolean {
  const { request } = target;
  if (request.status?.decision?.outcome !== 'Committed') return false;
  return journal.get(request.metadata.uid, 'target')?.stage === 'Running' || isFinished(request);
}

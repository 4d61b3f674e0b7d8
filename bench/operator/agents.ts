// SPDX-License-Identifier: Apache-2.0
// Writes what scheduler, kubelet and agents write of a move, in their form and order, one step at each change of the request.
import { fieldManagers, isFinished, type MigrationRequest } from '../../crds/src/index.ts';
import {
  isNotFound,
  messageOf,
  migrationRequests,
  pods,
  proposeDecision,
  writePart,
  type Client,
} from '../../kube/src/index.ts';

const NAMESPACE = 'default';
/** Of a short blackout: agents do not write states that nobody waits for (docs/adr/0027). */
const sourceStates = ['Holding', 'Transferring'] as const;

export class Agents {
  readonly #client: Client;
  readonly #busy = new Set<string>();
  /** UIDs of targets that have a node. */
  readonly #scheduled = new Set<string>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Does the next step of a request, unless one of its steps is under way. */
  async advance(request: MigrationRequest): Promise<void> {
    const { uid, name } = request.metadata;
    if (this.#busy.has(uid) || isFinished(request)) return;
    this.#busy.add(uid);
    try {
      await this.#step(request);
    } catch (error) {
      // The next change of the request comes here again.
      if (!isNotFound(error)) console.error(`${name}: ${messageOf(error)}`);
    } finally {
      this.#busy.delete(uid);
    }
  }

  async #step(request: MigrationRequest): Promise<void> {
    const { status } = request;
    if (status?.target?.podUID === undefined || status.target.podName === undefined) return;
    const { podUID, podName, nodeName, candidates = [] } = status.target;
    if (!this.#scheduled.has(podUID)) {
      await this.#schedule(podName, nodeName ?? candidates[0] ?? '');
      this.#scheduled.add(podUID);
    }
    // The operator reads it from the pod.
    if (nodeName === undefined) return;
    if (status.targetAgent === undefined) {
      return this.#target(request, 'AtCreateGate');
    }
    if (status.deadlines?.blackout === undefined) return;
    if (!status.decision) return this.#untilDecision(request);
    if (status.decision.outcome === 'Aborted') {
      if (status.sourceAgent?.state !== 'Resumed') await this.#source(request, 'Resumed');
      if (status.targetAgent.state !== 'TornDown') await this.#target(request, 'TornDown');
      return;
    }
    if (status.targetAgent.state !== 'Running') {
      await this.#target(request, 'Answering');
      await this.#source(request, 'Gone');
      await this.#podRuns(status.target.podName);
      await this.#target(request, 'Running');
    }
  }

  async #untilDecision(request: MigrationRequest): Promise<void> {
    for (const state of sourceStates) await this.#source(request, state);
    const node = request.status?.target?.nodeName ?? '';
    const proposal = { outcome: 'Committed', by: `agent/${node}`, reason: 'Committed' } as const;
    await proposeDecision(this.#client, migrationRequests, request, proposal);
  }

  #source(object: MigrationRequest, state: string): Promise<void> {
    return this.#write(object, fieldManagers.sourceAgent, 'sourceAgent', state);
  }

  #target(object: MigrationRequest, state: string): Promise<void> {
    return this.#write(object, fieldManagers.targetAgent, 'targetAgent', state);
  }

  async #write(
    object: MigrationRequest,
    manager: string,
    field: string,
    state: string,
  ): Promise<void> {
    const resource = migrationRequests;
    await writePart(this.#client, { resource, object, manager, field, value: { state } });
  }

  async #schedule(name: string, node: string): Promise<void> {
    await this.#client.rest.request({
      method: 'POST',
      path: `/api/v1/namespaces/${NAMESPACE}/pods/${name}/binding`,
      body: { metadata: { name }, target: { kind: 'Node', name: node } },
    });
  }

  async #podRuns(name: string): Promise<void> {
    const startedAt = new Date().toISOString();
    const container = { name: 'main', ready: true, started: true, restartCount: 0, image: 'x', imageID: '' }; // prettier-ignore
    const status = {
      phase: 'Running',
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'ContainersReady', status: 'True' },
      ],
      containerStatuses: [{ ...container, state: { running: { startedAt } } }],
    };
    await this.#client.merge(pods, NAMESPACE, name, { status }, { subresource: 'status' });
  }
}

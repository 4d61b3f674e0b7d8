// SPDX-License-Identifier: Apache-2.0
// Answers the runtime wrapper's `create`: run as it is, wait for a restore, or never again.
import { annotations } from '../../../crds/src/index.ts';
import { ConnectionError, withFaults, type Pod } from '../../../kube/src/index.ts';
import { AgentError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import { knownPeers } from '../rdma-device/peers.ts';
import type { BundleEditor } from '../runtime/bundle-editor.ts';
import type { CreateReply, CreateRequest } from '../socket/protocol.ts';
import type { Gates } from '../target/gates.ts';
import { refuseMovedAway } from './moved-away.ts';
import { hasRun, startOrder, type PodRequests, type TargetOf } from './pod-requests.ts';

export interface CreateParts {
  journal: Journal;
  gates: Gates;
  editor: BundleEditor;
  pods: PodRequests;
  /** Remembers that a target's container waits. */
  waiting(target: TargetOf, request: CreateRequest): Promise<void>;
  /** Unlocks, shows and resumes what a target's network namespace is born with. */
  release(netns: string): Promise<void>;
}

/** More pods than a node has. */
const REMEMBERED = 1000;

export class CreateHandler {
  readonly #parts: CreateParts;
  /** UIDs of pods that were let run, and whether they had been somebody's target. */
  readonly #running = new Map<string, boolean>();

  constructor(parts: CreateParts) {
    this.#parts = parts;
  }

  /** @throws AgentError MovedAway, Aborted, PodNotFound, ... */
  async handle(request: CreateRequest, gone: AbortSignal): Promise<CreateReply> {
    refuseMovedAway(this.#parts.journal, request.podUid);
    const found = await this.#lookUp(request);
    if (found === 'runs') return this.#run(request);
    const { pod, target } = found;
    if (!target) return this.#run(request, pod);
    const decision = target.request.status?.decision?.outcome;
    const uid = target.request.metadata.uid;
    if (hasRun(this.#parts.journal, target)) return this.#run(request, pod);
    const stage = this.#parts.journal.get(uid, 'target')?.stage;
    if (decision === 'Committed' && stage !== 'restoring' && stage !== 'atGate') {
      throw new AgentError(
        'RestoreFailed',
        'the restored container may have run before it ended: it is not restored twice',
      );
    }
    if (decision === 'Aborted') {
      throw new AgentError('Aborted', 'the move was aborted: this pod must not run');
    }
    const { rnrTimer } = knownPeers(pod.metadata.annotations);
    const containers = startOrder(pod);
    // Not of a pod whose kubelet would not start it again: nothing may end its restore for taking long.
    const since = pod.spec.restartPolicy === 'Never' ? undefined : this.#since(uid, request);
    await this.#parts.waiting(target, request);
    return withFaults('target.createGate', () =>
      this.#parts.gates.waitCreate(uid, { ...request, rnrTimer, containers, since }, gone),
    );
  }

  /** Who asks again over another connection has waited since it asked first. */
  #since(uid: string, { id, container }: CreateRequest): number {
    const asked = this.#parts.gates
      .atCreate(uid)
      .find((one) => one.container === container && one.id === id);
    return asked?.since ?? Date.now();
  }

  /** A pod that may run may run again, also while the API server does not answer; moving it away is in the journal. */
  async #lookUp(
    request: CreateRequest,
  ): Promise<{ pod: Pod; target: TargetOf | undefined } | 'runs'> {
    try {
      const pod = await this.#parts.pods.pod(request);
      return { pod, target: await this.#parts.pods.targetOf(pod) };
    } catch (error) {
      if (error instanceof ConnectionError && this.#running.has(request.podUid)) return 'runs';
      throw error;
    }
  }

  async #run(request: CreateRequest, pod?: Pod): Promise<CreateReply> {
    const { editor } = this.#parts;
    const netns = await editor.netns(request.bundle);
    // Pods on the host's own network have no RDMA device of theirs.
    if (netns !== undefined) {
      await withFaults('create.bundle', () => editor.edit(request.bundle, netns));
    }
    // A pod that was somebody's target starts anew: its sandbox may be one that was made to be silent.
    const wasTarget = pod
      ? pod.metadata.annotations[annotations.requestUid] !== undefined
      : this.#running.get(request.podUid) === true;
    if (netns !== undefined && wasTarget) await this.#parts.release(netns);
    this.#remember(request.podUid, wasTarget);
    return { ok: true, action: 'run' };
  }

  #remember(podUid: string, wasTarget: boolean): void {
    this.#running.delete(podUid);
    this.#running.set(podUid, wasTarget);
    const [oldest] = this.#running.keys();
    if (this.#running.size > REMEMBERED && oldest !== undefined) this.#running.delete(oldest);
  }
}

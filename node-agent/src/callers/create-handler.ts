// SPDX-License-Identifier: Apache-2.0
// Answers the runtime wrapper's `create`: run as it is, wait for a restore, or never again.
import { annotations } from '../../../crds/src/index.ts';
import { ConnectionError, withFaults, type Pod } from '../../../kube/src/index.ts';
import { AgentError } from '../support/errors.ts';
import { isRestoring, type Journal } from '../support/journal/journal.ts';
import { readPeers } from '../support/peers.ts';
import type { BundleEditor } from '../node/runtime/bundle-editor.ts';
import type { CreateReply, CreateRequest } from '../support/socket-protocol.ts';
import type { Gates } from './gates.ts';
import { refuseMovedAway } from './moved-away.ts';
import {
  hasResumed,
  startOrder,
  type RequestLookup,
  type TargetRequest,
} from './request-lookup.ts';

export interface CreateParts {
  journal: Journal;
  gates: Gates;
  editor: BundleEditor;
  pods: RequestLookup;
  /** Remembers that a target's container waits. */
  waiting(target: TargetRequest, request: CreateRequest): Promise<void>;
  /** Whether CRIU has let go of what was restored under this name. */
  released(requestUid: string, container: string): Promise<boolean>;
  /** Unlocks, shows and resumes what a target's network namespace is born with. */
  release(netns: string): Promise<void>;
}

/** More pods than a node has. */
const REMEMBERED = 1000;
/** Of a create that the kubelet gives up after two minutes: what is left is enough for a restore. */
const AGAIN_WITHIN_MS = 60_000;

interface Found {
  pod: Pod;
  target: TargetRequest | undefined;
}

const startsTwice = ({ spec }: Pod): boolean => spec.restartPolicy !== 'Never';

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
    if (request.attempt > 1) await this.#refuseAgain(request, found);
    if (found === 'runs') return this.#run(request);
    const { pod, target } = found;
    if (!target) return this.#run(request, pod);
    const decision = target.request.status?.decision?.outcome;
    const uid = target.request.metadata.uid;
    if (hasResumed(this.#parts.journal, target)) return this.#run(request, pod);
    if (decision === 'Committed' && !(await this.#hasNotRun(target, request.container))) {
      throw new AgentError(
        'RestoreFailed',
        'the restored container may have run before it ended: it is not restored twice',
      );
    }
    if (decision === 'Aborted') {
      throw new AgentError('Aborted', 'the move was aborted: this pod must not run');
    }
    const { rnrTimer } = readPeers(pod.metadata.annotations);
    const containers = startOrder(pod);
    // Not of a pod whose kubelet would not start it again: nothing may end its restore for taking long.
    const since = startsTwice(pod) ? (request.since ?? Date.now()) : undefined;
    await this.#parts.waiting(target, request);
    return withFaults('target.createGate', () =>
      this.#parts.gates.waitAtCreateGate(uid, { ...request, rnrTimer, containers, since }, gone),
    );
  }

  /** What CRIU has not let go of has not run, even if its gate was opened. */
  async #hasNotRun({ request }: TargetRequest, container: string): Promise<boolean> {
    const { uid } = request.metadata;
    const entry = this.#parts.journal.get(uid, 'target');
    if (entry?.stage === 'Resuming') return !(await this.#parts.released(uid, container));
    return entry !== undefined && isRestoring(entry);
  }

  /** A restore that failed is made again in the same create as long as nothing of it has run. */
  async #refuseAgain(request: CreateRequest, found: Found | 'runs'): Promise<void> {
    const { attempt, since, container } = request;
    const target = found === 'runs' ? undefined : found.target;
    if (found === 'runs' || !target || !(await this.#hasNotRun(target, container))) {
      throw new AgentError('RestoreFailed', 'the restore has ended, and is not made once more');
    }
    // Its kubelet would give the create up in the middle of it.
    if (startsTwice(found.pod) && Date.now() - (since ?? 0) > AGAIN_WITHIN_MS) {
      const message = `attempt ${attempt} of this start would come too late: the kubelet starts the container anew`;
      throw new AgentError('RestoreFailed', message);
    }
  }

  /** A pod that may run may run again, also while the API server does not answer; moving it away is in the journal. */
  async #lookUp(request: CreateRequest): Promise<Found | 'runs'> {
    try {
      const pod = await this.#parts.pods.getPod(request);
      return { pod, target: await this.#parts.pods.targetRequest(pod) };
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
      await withFaults('create.bundle', () => editor.addUverbs(request.bundle, netns));
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

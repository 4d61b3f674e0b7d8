// SPDX-License-Identifier: Apache-2.0
// The handler of the shim's `create`, which the shim sends for every container before runc creates it (OCI runtime
// specification, Operations: Create). It answers `run` for a container that starts as usual, lets a target's container
// wait at the create gate for the reply that restores it, or refuses.
import { annotations, restoreAdvice } from '../../../crds/src/index.ts';
import { ConnectionError, withFaults, type Pod } from '../../../kube/src/index.ts';
import { abortedError, AgentError } from '../support/errors.ts';
import { isRestoring, targetStage, type Journal } from '../support/journal/journal.ts';
import { readHoldAnswer } from '../support/peers.ts';
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
  /** Called before a target's container waits at the create gate. */
  recordWaiting(target: TargetRequest, pod: Pod, request: CreateRequest): Promise<void>;
  /** Unlocks, shows and resumes the network namespace of a former target. @param resets addresses that it was lent */
  resumePod(netns: string, resets: readonly string[]): Promise<unknown>;
}

/** More pods than a kubelet runs. */
const MAX_REMEMBERED_PODS = 1000;

interface LookedUp {
  pod: Pod;
  target: TargetRequest | undefined;
}

export class CreateHandler {
  readonly #parts: CreateParts;
  /** UIDs of pods whose containers were answered `run`, with whether the pod was a request's target. Oldest first. */
  readonly #allowed = new Map<string, boolean>();

  constructor(parts: CreateParts) {
    this.#parts = parts;
  }

  /**
   * May take minutes, for a container that waits at the create gate.
   * @param gone aborts when the shim closes its connection
   * @throws AgentError MovedAway, CheckpointUnderWay, Aborted, RestoreFailed, PodNotFound, BadRequest, BadAnnotation,
   * DriverMissing; ConnectionError
   */
  async handle(request: CreateRequest, gone: AbortSignal): Promise<CreateReply> {
    refuseMovedAway(this.#parts.journal, request.podUid);
    const found = await this.#lookUp(request);
    if (found === 'runs') return this.#run(request);
    const { pod, target } = found;
    if (!target) return this.#run(request, pod);
    const decision = target.request.status?.decision?.outcome;
    const uid = target.request.metadata.uid;
    if (hasResumed(this.#parts.journal, target)) return this.#run(request, pod);
    if (decision === 'Committed' && !this.#hasNotRun(target)) {
      throw new AgentError(
        'RestoreFailed',
        'The restored container may have run before it ended, so the agent does not restore it again. ' +
          restoreAdvice(target.request),
      );
    }
    if (decision === 'Aborted') throw abortedError();
    await this.#parts.editor.checkDevices(request.bundle);
    const answer = readHoldAnswer(pod.metadata.annotations);
    const containers = startOrder(pod);
    await this.#parts.recordWaiting(target, pod, request);
    return withFaults('target.createGate', () =>
      this.#parts.gates.waitAtCreateGate(uid, { ...request, answer, containers }, gone),
    );
  }

  /** No container has run before the agent begins to resume the pod: it journals or reports that first. */
  #hasNotRun({ request }: TargetRequest): boolean {
    const entry = this.#parts.journal.get(request.metadata.uid, 'target');
    return isRestoring({ stage: targetStage(entry, request.status?.targetAgent?.state) });
  }

  /**
   * `runs` while the API server does not answer, for a pod that was answered `run` before. Whether it has been moved away
   * since is in the journal.
   */
  async #lookUp(request: CreateRequest): Promise<LookedUp | 'runs'> {
    try {
      const pod = await this.#parts.pods.getPod(request);
      return { pod, target: await this.#parts.pods.targetRequest(pod) };
    } catch (error) {
      if (error instanceof ConnectionError && this.#allowed.has(request.podUid)) return 'runs';
      throw error;
    }
  }

  async #run(request: CreateRequest, pod?: Pod): Promise<CreateReply> {
    const { editor } = this.#parts;
    const netns = await editor.netns(request.bundle);
    // A pod with hostNetwork has no RDMA device of its own.
    if (netns !== undefined) {
      await withFaults('create.bundle', () => editor.addDevices(request.bundle, netns));
    }
    // A former target restarts: its sandbox may still be locked, hidden and held.
    const wasTarget = pod
      ? pod.metadata.annotations[annotations.requestUid] !== undefined
      : this.#allowed.get(request.podUid) === true;
    if (netns !== undefined && wasTarget)
      await this.#parts.resumePod(netns, this.#lentTo(request.podUid));
    this.#remember(request.podUid, wasTarget);
    return { ok: true, action: 'run' };
  }

  /** Of a target that was resumed in part, or that is gone, while its sandbox is still there. */
  #lentTo(podUid: string): readonly string[] {
    const entries = this.#parts.journal.all();
    return entries.find((one) => one.role === 'target' && one.podUid === podUid)?.resets ?? [];
  }

  #remember(podUid: string, wasTarget: boolean): void {
    this.#allowed.delete(podUid);
    this.#allowed.set(podUid, wasTarget);
    const [oldest] = this.#allowed.keys();
    if (this.#allowed.size > MAX_REMEMBERED_PODS && oldest !== undefined)
      this.#allowed.delete(oldest);
  }
}

// SPDX-License-Identifier: Apache-2.0
// The handler of the shim's `create`, which the shim sends for every container before runc creates it (OCI runtime
// specification, Operations: Create). It answers `run` for a container that starts as usual, lets a target's container
// wait at the create gate for the reply that restores it, or refuses.
import { annotations, restoreAdvice } from '../../../crds/src/index.ts';
import { ConnectionError, withFaults, type Pod } from '../../../kube/src/index.ts';
import { abortedError, AgentError } from '../support/errors.ts';
import { isRestoring, type Journal } from '../support/journal/journal.ts';
import { readHoldAnswer } from '../support/peers.ts';
import type { BundleEditor } from '../node/runtime/bundle-editor.ts';
import type { RestoreOutcome } from '../node/runtime/criu-outcome.ts';
import type { RestoreToRead } from '../node/restore/restorer.ts';
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
  /** Outcome of a container's restore. */
  outcome(of: RestoreToRead): Promise<RestoreOutcome>;
  /** Unlocks, shows and resumes the network namespace of a former target. */
  resumePod(netns: string): Promise<void>;
}

/** More pods than a kubelet runs. */
const MAX_REMEMBERED_PODS = 1000;
/** The kubelet gives up a create after two minutes: a later attempt would not leave enough time for a restore. */
const LAST_ATTEMPT_AFTER_MS = 60_000;

interface LookedUp {
  pod: Pod;
  target: TargetRequest | undefined;
}

/** Whether the kubelet starts a container again that has failed. */
const isRestartable = ({ spec }: Pod): boolean => spec.restartPolicy !== 'Never';

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
   * @throws AgentError MovedAway, Aborted, RestoreFailed, PodNotFound, BadRequest, BadAnnotation; ConnectionError
   */
  async handle(request: CreateRequest, gone: AbortSignal): Promise<CreateReply> {
    refuseMovedAway(this.#parts.journal, request.podUid);
    const found = await this.#lookUp(request);
    if (request.attempt > 1) await this.#checkNextAttempt(request, found);
    if (found === 'runs') return this.#run(request);
    const { pod, target } = found;
    if (!target) return this.#run(request, pod);
    const decision = target.request.status?.decision?.outcome;
    const uid = target.request.metadata.uid;
    if (hasResumed(this.#parts.journal, target)) return this.#run(request, pod);
    if (decision === 'Committed' && !(await this.#hasNotRun(target, request.container))) {
      throw new AgentError(
        'RestoreFailed',
        'The restored container may have run before it ended, so the agent does not restore it again. ' +
          restoreAdvice(target.request),
      );
    }
    if (decision === 'Aborted') throw abortedError();
    const answer = readHoldAnswer(pod.metadata.annotations);
    const containers = startOrder(pod);
    // Without `since` no limit ends the restore: the kubelet would not start such a pod again.
    const since = isRestartable(pod) ? (request.since ?? Date.now()) : undefined;
    await this.#parts.recordWaiting(target, pod, request);
    return withFaults('target.createGate', () =>
      this.#parts.gates.waitAtCreateGate(uid, { ...request, answer, containers, since }, gone),
    );
  }

  /** A restored container has not run as long as CRIU cannot have detached from it. */
  async #hasNotRun({ request }: TargetRequest, container: string): Promise<boolean> {
    const { uid } = request.metadata;
    const entry = this.#parts.journal.get(uid, 'target');
    if (entry?.stage !== 'Resuming') return entry !== undefined && isRestoring(entry);
    const { id, bundle } = entry.containers.find(({ name }) => name === container) ?? {};
    if (id === undefined || bundle === undefined) return false;
    const outcome = await this.#parts.outcome({ requestUid: uid, container, id, bundle });
    return outcome !== 'Detached' && outcome !== 'Opened';
  }

  /** The shim repeats a failed restore within one create, as long as nothing of the container has run. */
  async #checkNextAttempt(request: CreateRequest, found: LookedUp | 'runs'): Promise<void> {
    const { attempt, since, container } = request;
    const target = found === 'runs' ? undefined : found.target;
    if (found === 'runs' || !target || !(await this.#hasNotRun(target, container))) {
      throw new AgentError(
        'RestoreFailed',
        'The restore has ended and is not repeated. The message of its MigrationRequest or RestoreRequest says what to do.',
      );
    }
    // The kubelet would give up the create in the middle of the restore.
    if (isRestartable(found.pod) && Date.now() - (since ?? 0) > LAST_ATTEMPT_AFTER_MS) {
      const message = `Attempt ${attempt} at this restore comes too late. The kubelet restarts the container.`;
      throw new AgentError('RestoreFailed', message);
    }
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
      await withFaults('create.bundle', () => editor.addUverbs(request.bundle, netns));
    }
    // A former target restarts: its sandbox may still be locked, hidden and held.
    const wasTarget = pod
      ? pod.metadata.annotations[annotations.requestUid] !== undefined
      : this.#allowed.get(request.podUid) === true;
    if (netns !== undefined && wasTarget) await this.#parts.resumePod(netns);
    this.#remember(request.podUid, wasTarget);
    return { ok: true, action: 'run' };
  }

  #remember(podUid: string, wasTarget: boolean): void {
    this.#allowed.delete(podUid);
    this.#allowed.set(podUid, wasTarget);
    const [oldest] = this.#allowed.keys();
    if (this.#allowed.size > MAX_REMEMBERED_PODS && oldest !== undefined)
      this.#allowed.delete(oldest);
  }
}

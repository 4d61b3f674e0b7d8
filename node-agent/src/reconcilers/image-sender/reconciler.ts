// SPDX-License-Identifier: Apache-2.0
// RestoreRequests whose images lie on this node: sends them to the node of the new pod.
import {
  secondsOfStep,
  type RestoreRequest,
  type SourceAgent,
  type SourceState,
  type TargetState,
} from '../../../../crds/src/index.ts';
import {
  realClock,
  timestamp,
  withFaults,
  type Clock,
  type Context,
  type Plan,
} from '../../../../kube/src/index.ts';
import { AgentError, isPassing, reasonOf, type Failure } from '../../support/errors.ts';
import { doWithin, stepLimit, type Limit } from '../step-limits.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import type { Publisher } from '../publisher.ts';
import { beginStep, endStep } from '../../support/step-times.ts';
import type { sendImages } from '../../node/transfer/sender.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';

export interface ImageSenderObserved {
  decided: boolean;
  /** The new pod is on this node too: nothing to send. */
  here: boolean;
  sent: boolean;
  targetState: TargetState | undefined;
  failure: Failure | undefined;
  /** Of sending, once it was begun. */
  limit: Limit | undefined;
}

export type ImageSenderEffect = { type: 'SendImages' };
export interface ImageSenderStatus {
  state: SourceState;
  reason?: string;
  message?: string;
}

/** Pure. */
export function decideImageSender(
  observed: ImageSenderObserved,
  now: number,
): Plan<ImageSenderEffect, ImageSenderStatus> {
  const { failure } = observed;
  if (failure) {
    const status = { state: 'Failed', reason: failure.code, message: failure.message } as const;
    return { status, effects: [] };
  }
  if (observed.here || observed.sent) return { status: { state: 'Sent' }, effects: [] };
  if (observed.decided) return { status: undefined, effects: [] };
  if (observed.targetState !== 'AtCreateGate' && observed.targetState !== 'Receiving') {
    return { status: { state: 'Waiting' }, effects: [] };
  }
  if (observed.limit && now > observed.limit.at) {
    const { code, message } = observed.limit;
    return { status: { state: 'Failed', reason: code, message }, effects: [] };
  }
  return { status: { state: 'Sent' }, effects: [{ type: 'SendImages' }] };
}

export interface ImageSenderDependencies {
  nodeName: string;
  store: ImageStore;
  certificateDir: string;
  send: typeof sendImages;
  publisher: Publisher<RestoreRequest>;
  request(key: string): RestoreRequest | undefined;
  clock?: Clock;
}

export interface Observed extends ImageSenderObserved {
  request: RestoreRequest;
  imageId: string;
}

export class ImageSenderReconciler implements HandoverReconciler<
  Observed,
  ImageSenderEffect,
  ImageSenderStatus
> {
  readonly #deps: ImageSenderDependencies;
  readonly #clock: Clock;
  readonly #failures = new Map<string, Failure>();
  readonly #facts = new Map<
    string,
    Pick<SourceAgent, 'steps' | 'bytes' | 'objects' | 'identity'>
  >();

  constructor(deps: ImageSenderDependencies) {
    this.#deps = deps;
    this.#clock = deps.clock ?? realClock;
  }

  async observe(key: string): Promise<Observed | undefined> {
    const request = this.#deps.request(key);
    const status = request?.status;
    if (!request || status?.source?.nodeName !== this.#deps.nodeName) return undefined;
    if (status.checkpointId === undefined) return undefined;
    return {
      request,
      imageId: status.checkpointId,
      decided: status.decision !== undefined,
      here: status.target?.nodeName === this.#deps.nodeName,
      sent: status.sourceAgent?.state === 'Sent' || this.#hasSent(request),
      targetState: status.targetAgent?.state,
      failure: this.#failures.get(request.metadata.uid),
      limit: this.#limitOf(request),
    };
  }

  decide(observed: Observed, now: number): Plan<ImageSenderEffect, ImageSenderStatus> {
    return decideImageSender(observed, now);
  }

  async act(_effect: ImageSenderEffect, observed: Observed, context: Context): Promise<void> {
    const { request, imageId } = observed;
    const address = request.status?.target?.agentAddress;
    if (address === undefined) {
      throw new AgentError('TransferFailed', "the target node's agent has no address yet");
    }
    const kept = await this.#deps.store.manifest(imageId);
    if (!kept) {
      throw new AgentError('CheckpointNotFound', `no images of ${imageId} on this node any more`);
    }
    const uid = request.metadata.uid;
    const facts = this.#known(request);
    // Begun once: a write with every attempt would wake this key at once, without the wait between attempts.
    const isBegun = facts.steps?.some((step) => step.name === 'transfer') === true;
    const seconds = secondsOfStep(request.spec.timeouts, 'transfer');
    const deadline = timestamp(this.#clock.now() + seconds * 1000);
    const steps = isBegun ? (facts.steps ?? []) : beginStep([], 'transfer', undefined, deadline);
    this.#facts.set(uid, { ...facts, steps });
    this.#deps.publisher.progress(request, { state: 'Transferring', steps }, context);
    const stop = new AbortController();
    const end = (): void => stop.abort(context.signal.reason);
    context.signal.addEventListener('abort', end, { once: true });
    try {
      await doWithin(this.#limitOf(request), this.#clock, stop, () =>
        withFaults('images.send', () =>
          this.#deps.send({
            address,
            // Several requests may restore from it on one node, each with images of its own.
            id: uid,
            dir: this.#deps.store.dir(imageId),
            manifest: kept.manifest,
            certificateDir: this.#deps.certificateDir,
            signal: stop.signal,
          }),
        ),
      );
    } finally {
      context.signal.removeEventListener('abort', end);
    }
    const { bytes, objects, identity } = kept.manifest;
    this.#facts.set(uid, { steps: endStep(steps, 'transfer'), bytes, objects, identity });
  }

  async failed(error: unknown, _effect: ImageSenderEffect, observed: Observed): Promise<void> {
    const { code, message } = reasonOf(error);
    if (isPassing(code)) return;
    this.#failures.set(observed.request.metadata.uid, { code, message });
  }

  /** The request is gone. */
  forget(uid: string): void {
    this.#failures.delete(uid);
    this.#facts.delete(uid);
  }

  async publish(status: ImageSenderStatus, observed: Observed, context: Context): Promise<void> {
    const { request } = observed;
    const part = { ...this.#known(request), ...status };
    await this.#deps.publisher.write(request, part, context.signal);
  }

  /** What a watch tells may be older than what was done: sent again, images would come while they are restored from. */
  #hasSent(request: RestoreRequest): boolean {
    const steps = this.#facts.get(request.metadata.uid)?.steps ?? [];
    return steps.some((step) => step.name === 'transfer' && step.endTime !== undefined);
  }

  /** In the status, so that it outlives this process. */
  #limitOf(request: RestoreRequest): Limit | undefined {
    const seconds = secondsOfStep(request.spec.timeouts, 'transfer');
    return stepLimit(this.#known(request).steps, 'transfer', seconds);
  }

  #known(request: RestoreRequest): Pick<SourceAgent, 'steps' | 'bytes' | 'objects' | 'identity'> {
    const { steps, bytes, objects, identity } = request.status?.sourceAgent ?? {};
    return this.#facts.get(request.metadata.uid) ?? { steps, bytes, objects, identity };
  }
}

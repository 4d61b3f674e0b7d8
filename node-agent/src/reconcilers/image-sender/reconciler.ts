// SPDX-License-Identifier: Apache-2.0
// RestoreRequests whose images this node stores: sends them to the node of the new pod.
import {
  secondsOfStep,
  timeoutsOf,
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
import {
  AgentError,
  failureFields,
  isTransient,
  reasonOf,
  type Failure,
} from '../../support/errors.ts';
import { doWithin, stepLimit, type Limit } from '../step-limits.ts';
import type { HandoverReconciler } from '../handover-loop.ts';
import type { Publisher } from '../publisher.ts';
import { receiverAddress } from '../receiver-address.ts';
import { withRemedy } from '../remedy.ts';
import { beginStep, endStep } from '../../support/step-times.ts';
import type { sendImages } from '../../node/transfer/sender.ts';
import type { ImageStore } from '../../node/transfer/image-store.ts';

export interface ImageSenderObserved {
  decided: boolean;
  /** The new pod is on this node too, so there is nothing to send. */
  isTargetHere: boolean;
  sent: boolean;
  targetState: TargetState | undefined;
  failure: Failure | undefined;
  /** The limit of the step `transfer`, once it has begun. */
  limit: Limit | undefined;
}

export type ImageSenderEffect = { type: 'SendImages' };
export interface ImageSenderStatus {
  state: SourceState;
  reason?: string;
  message?: string;
}

/** Decides what the image sender does next. Pure. */
export function decideImageSender(
  observed: ImageSenderObserved,
  now: number,
): Plan<ImageSenderEffect, ImageSenderStatus> {
  const { failure } = observed;
  if (failure) {
    return { status: { state: 'Failed', ...failureFields(failure) }, effects: [] };
  }
  if (observed.isTargetHere || observed.sent) return { status: { state: 'Sent' }, effects: [] };
  if (observed.decided) return { status: undefined, effects: [] };
  if (observed.targetState !== 'AtCreateGate' && observed.targetState !== 'Receiving') {
    return { status: { state: 'Waiting' }, effects: [] };
  }
  if (observed.limit && now > observed.limit.at) {
    return { status: { state: 'Failed', ...failureFields(observed.limit) }, effects: [] };
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

/** What the image sender reports of a transfer. */
type Transfer = Pick<SourceAgent, 'steps' | 'bytes' | 'objects' | 'identity'>;

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
  /** The transfers that this process has begun, by request. */
  readonly #transfers = new Map<string, Transfer>();

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
      isTargetHere: status.target?.nodeName === this.#deps.nodeName,
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
    const receiver = receiverAddress(request);
    const stored = await this.#deps.store.manifest(imageId);
    if (!stored) {
      throw new AgentError(
        'CheckpointNotFound',
        `Node ${this.#deps.nodeName} no longer stores the images of checkpoint ${imageId}.`,
      );
    }
    const uid = request.metadata.uid;
    const transfer = this.#transferOf(request);
    // The step begins once. A write with every attempt would enqueue this key at once, without the backoff.
    const isBegun = transfer.steps?.some((step) => step.name === 'transfer') === true;
    const seconds = secondsOfStep(timeoutsOf(request), 'transfer');
    const deadline = timestamp(this.#clock.now() + seconds * 1000);
    const steps = isBegun ? (transfer.steps ?? []) : beginStep([], 'transfer', undefined, deadline);
    this.#transfers.set(uid, { ...transfer, steps });
    this.#deps.publisher.progress(request, { state: 'Transferring', steps }, context);
    const stop = new AbortController();
    const end = (): void => stop.abort(context.signal.reason);
    context.signal.addEventListener('abort', end, { once: true });
    try {
      await doWithin(this.#limitOf(request), this.#clock, stop, () =>
        withFaults('images.send', async () =>
          this.#deps.send({
            ...receiver,
            // Several requests may restore one checkpoint on one node. Each has its own directory there.
            id: uid,
            images: await this.#deps.store.files(imageId, stored.manifest),
            manifest: stored.manifest,
            certificateDir: this.#deps.certificateDir,
            signal: stop.signal,
          }),
        ),
      );
    } finally {
      context.signal.removeEventListener('abort', end);
    }
    const { bytes, objects, identity } = stored.manifest;
    this.#transfers.set(uid, { steps: endStep(steps, 'transfer'), bytes, objects, identity });
  }

  async failed(error: unknown, _effect: ImageSenderEffect, observed: Observed): Promise<void> {
    const { code, message } = reasonOf(error);
    if (isTransient(code)) return;
    this.#failures.set(
      observed.request.metadata.uid,
      withRemedy('RestoreRequest', { code, message }),
    );
  }

  forget(uid: string): void {
    this.#failures.delete(uid);
    this.#transfers.delete(uid);
  }

  async publish(status: ImageSenderStatus, observed: Observed, context: Context): Promise<void> {
    const { request } = observed;
    const part = { ...this.#transferOf(request), ...status };
    await this.#deps.publisher.write(request, part, context.signal);
  }

  /**
   * Whether this process has sent the images. The informer's cache may not have the report yet, and images that arrive
   * twice would replace those that CRIU restores from.
   */
  #hasSent(request: RestoreRequest): boolean {
    const steps = this.#transfers.get(request.metadata.uid)?.steps ?? [];
    return steps.some((step) => step.name === 'transfer' && step.endTime !== undefined);
  }

  /** The transfer's limit. The status has it, so a restarted agent finds it. */
  #limitOf(request: RestoreRequest): Limit | undefined {
    const seconds = secondsOfStep(timeoutsOf(request), 'transfer');
    return stepLimit(this.#transferOf(request).steps, 'transfer', seconds);
  }

  #transferOf(request: RestoreRequest): Transfer {
    const { steps, bytes, objects, identity } = request.status?.sourceAgent ?? {};
    return this.#transfers.get(request.metadata.uid) ?? { steps, bytes, objects, identity };
  }
}

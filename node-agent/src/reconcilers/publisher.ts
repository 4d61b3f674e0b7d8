// SPDX-License-Identifier: Apache-2.0
// Writes this agent's part of a request's status. Nothing waits for a progress report, so a slow API server does not
// lengthen the blackout. The writes of one request stay in order, and of several that wait only the newest is sent.
import {
  KeyedMutex,
  realClock,
  withFaults,
  withoutUndefined,
  writePart,
  type Api,
  type ApiObject,
  type Clock,
  type Context,
  type Resource,
  type Timer,
} from '../../../kube/src/index.ts';
import { reasonOf } from '../support/errors.ts';

export interface PublisherOptions<T extends ApiObject> {
  api: Api;
  resource: Resource<T>;
  manager: string;
  /** The one field of the status that this agent owns. */
  field: 'sourceAgent' | 'targetAgent' | 'agent';
  /** How long a state lasts before `mention` reports it; 0: at once. */
  mentionMs?: number;
  clock?: Clock;
}

interface Written {
  readonly part: object;
  /** The request's version with it. */
  readonly version: string;
}

/** Versions of one kind of object are numbers that grow (Kubernetes' API concepts, "Resource versions"). */
const isOlder = (one: string, other: string): boolean =>
  one.length < other.length || (one.length === other.length && one < other);

/** People see which step of a blackout takes longer than this; in a shorter one only what somebody waits for is written. */
const MENTION_MS = 10_000;

/** How soon progress that was not written is tried again: somebody may wait for it, e.g. for the pod to be held. */
const RETRY_MS = 500;

interface Report<T> {
  readonly object: T;
  readonly part: { readonly state: string };
}

interface Mention<T> extends Report<T> {
  readonly timer: Timer;
  /** Its own write, or that of an earlier state, has failed. */
  readonly isLate: boolean;
}

/** More requests than a node works on. */
const MAX_REMEMBERED = 1000;

export class Publisher<T extends ApiObject & { readonly status?: unknown }> {
  readonly #options: PublisherOptions<T>;
  readonly #mutex = new KeyedMutex();
  /** The part that was written last, by the request's UID: the informer may not have it yet. Oldest first. */
  readonly #written = new Map<string, Written>();
  /** Progress that waits for an earlier write, by the request's UID. A newer part takes its place. */
  readonly #waiting = new Map<string, Report<T>>();
  /** States that are reported if they last, by the request's UID. */
  readonly #mentions = new Map<string, Mention<T>>();
  /** What was to be written last, until it is, by the request's UID. */
  readonly #newest = new Map<string, object>();

  constructor(options: PublisherOptions<T>) {
    this.#options = options;
  }

  /** Resolves once the API server has stored it. @throws ApiError, ConnectionError */
  async write(object: T, part: object, signal?: AbortSignal): Promise<void> {
    const { uid } = object.metadata;
    // This part has what the progress would have reported.
    this.#waiting.delete(uid);
    this.#unmention(uid);
    this.#newest.set(uid, part);
    await this.#mutex.run(uid, () => this.#send(object, part, signal));
  }

  /**
   * Reports without waiting. What gets lost is reported again soon, or with the next state. A state that was reported before is not
   * reported again for its steps: they come with the next state.
   */
  progress<P extends { readonly state: string }>(object: T, part: P, context: Context): void {
    const { uid } = object.metadata;
    this.#unmention(uid);
    if (this.#lastOf(uid)?.['state'] === part.state) return;
    const isQueued = this.#waiting.has(uid);
    this.#waiting.set(uid, { object, part });
    this.#newest.set(uid, part);
    if (isQueued) return;
    const work = async (): Promise<void> => {
      const report = this.#waiting.get(uid);
      this.#waiting.delete(uid);
      if (!report) return;
      try {
        await this.#send(report.object, report.part);
      } catch (error) {
        context.log.debug({ detail: reasonOf(error).message }, 'progress not written');
        this.#retry(report, context);
      }
    };
    void this.#mutex.run(uid, work);
  }

  /** Unless it is superseded, or its request deleted. */
  #retry(failed: Report<T>, context: Context): void {
    const { uid } = failed.object.metadata;
    const since = this.#mentions.get(uid);
    if (since === undefined && this.#newest.get(uid) !== failed.part) return;
    this.#later(since ?? failed, RETRY_MS, true, context);
  }

  #later({ object, part }: Report<T>, ms: number, isLate: boolean, context: Context): void {
    const { uid } = object.metadata;
    this.#unmention(uid);
    const { clock = realClock } = this.#options;
    const timer = clock.after(ms, () => this.progress(object, part, context));
    this.#mentions.set(uid, { object, part, timer, isLate });
  }

  /**
   * Reports a state that nobody waits for, if it lasts: each write in a blackout keeps the API server from what somebody does wait
   * for (docs/adr/0027). What is reported before takes its place. It is reported at once if an earlier state was not written, or had a
   * message.
   */
  async mention<P extends { readonly state: string }>(
    object: T,
    part: P,
    context: Context,
  ): Promise<void> {
    const { uid } = object.metadata;
    const { mentionMs = MENTION_MS } = this.#options;
    if (mentionMs === 0) return this.write(object, part, context.signal);
    // A failure's text goes with the failure.
    if (this.#lastOf(uid)?.['message'] !== undefined)
      return this.write(object, part, context.signal);
    const before = this.#mentions.get(uid);
    if ((before?.part.state ?? this.#lastOf(uid)?.['state']) === part.state) return;
    if (before?.isLate) return this.progress(object, part, context);
    this.#later({ object, part }, mentionMs, false, context);
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#unmention(uid);
    this.#newest.delete(uid);
  }

  #unmention(uid: string): void {
    this.#mentions.get(uid)?.timer.cancel();
    this.#mentions.delete(uid);
  }

  /** What was reported last. */
  #lastOf(uid: string): Record<string, unknown> | undefined {
    const last = this.#waiting.get(uid)?.part ?? this.#written.get(uid)?.part;
    return last as Record<string, unknown> | undefined;
  }

  async #send(object: T, part: object, signal?: AbortSignal): Promise<void> {
    const { api, resource, manager, field } = this.#options;
    const { uid } = object.metadata;
    const value = truncated(part);
    const last = this.#written.get(uid);
    const known = last && isOlder(object.metadata.resourceVersion, last.version) ? last : undefined;
    const written = withFaults('agent.status', () =>
      writePart(api, { resource, object, manager, field, value, known: known?.part, signal }),
    );
    // Whether a write that fails has been stored is not known.
    this.#written.delete(uid);
    const version = (await written) ?? known?.version ?? object.metadata.resourceVersion;
    this.#written.set(uid, { part: withoutUndefined(value) as object, version });
    if (this.#newest.get(uid) === part) this.#newest.delete(uid);
    const [oldest] = this.#written.keys();
    if (this.#written.size > MAX_REMEMBERED && oldest !== undefined) this.#written.delete(oldest);
  }
}

/** The longest texts that the CRDs accept (crds/src/atoms.ts). The API server refuses a status with a longer one. */
const MAX_LENGTH = { reason: 128, message: 4096 } as const;

function truncated(part: object): object {
  const texts = Object.entries(MAX_LENGTH).map(([key, length]) => {
    const text = (part as Record<string, unknown>)[key];
    return [key, typeof text === 'string' ? text.slice(0, length) : text] as const;
  });
  return { ...part, ...Object.fromEntries(texts.filter(([, text]) => text !== undefined)) };
}
